"""The explorer's page does in a browser what it says, and agrees with the model that it was made of."""

import html
import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.browser import RENDERERS, WEBGL, Chromium, Place, chromium, until
from vaescope.data.examples import Examples
from vaescope.data.images import ImageSet
from vaescope.encoding import encode
from vaescope.run import Run

MAP = "canvas.map"
DECODED = ".lens .here canvas"

SHAKEN = np.random.default_rng(0).normal(size=(3, 8)).round(3)
"""Some latents."""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """One browser for all tests of this file."""
    with chromium(tmp_path_factory.mktemp("chromium")) as window:
        yield window


@pytest.fixture
def page(browser: Chromium, explorer_page: Path) -> Iterator[Chromium]:
    """The page with two latents, as nobody has touched it. It must neither complain nor ask for another address."""
    browser.size(1280, 900)
    browser.scheme("light")
    browser.open(explorer_page)
    yield browser
    assert browser.complaints() == []
    assert browser.requests() == [explorer_page.as_uri()]


@pytest.fixture
def colours(browser: Chromium, colour_page: Path) -> Iterator[Chromium]:
    """The page with eight latents, colours and a class to choose."""
    browser.size(1280, 900)
    browser.open(colour_page)
    yield browser
    assert browser.complaints() == []
    assert browser.requests() == [colour_page.as_uri()]


def at(window: Chromium, *plane: float) -> Place:
    """Where on the screen a place of the map's plane is."""
    left, top, *_ = window.box(MAP)
    x, y = window.run("return map.view.toScreen(...given[0])", plane)
    return left + x, top + y


def points(window: Chromium) -> np.ndarray:
    """Where on the screen the points are, with shape (N, 2)."""
    left, top, *_ = window.box(MAP)
    script = """
    const all = map.plane.all(data.codes)
    return Array.from({length: data.count}, (_, i) => map.view.toScreen(all[2 * i], all[2 * i + 1]))
    """
    return np.add(window.run(script), (left, top))


def loneliest(window: Chromium) -> int:
    """The point whose nearest other is farthest away, of those well within the map."""
    left, top, width, height = window.box(MAP)
    places = points(window)
    far = np.linalg.norm(places[:, None] - places, axis=-1)
    np.fill_diagonal(far, np.inf)
    inner = (np.abs(places - (left + width / 2, top + height / 2)) < (0.4 * width, 0.4 * height)).all(1)
    return int(np.where(inner, far.min(1), -1).argmax())


def within(place: np.ndarray, polygon: np.ndarray) -> bool:
    """Whether a place lies within a polygon: a ray from it crosses the outline an odd number of times."""
    inside = False
    for (ax, ay), (bx, by) in zip(polygon, np.roll(polygon, -1, 0), strict=True):
        if (ay > place[1]) != (by > place[1]) and place[0] < ax + (bx - ax) * (place[1] - ay) / (by - ay):
            inside = not inside
    return inside


def decoded(window: Chromium, z: np.ndarray, label: int = 0) -> np.ndarray:
    """What the page makes of latents with shape (N, D), as rows."""
    script = "return [...(await engine.decode(Float32Array.from(given[0]), 'test', given[1]))]"
    return np.reshape(window.run(script, z.ravel().tolist(), label), (len(z), -1))


def downloaded(window: Chromium, kind: str) -> Path:
    """The file of a kind that has just been given away."""
    found: list[Path] = []

    def arrived() -> bool:
        found[:] = window.downloads.glob(f"*.{kind}")
        return bool(found)

    until(arrived, f"a {kind} file is downloaded")
    return found[0]


def drop(window: Chromium, content: bytes, name: str, kind: str) -> None:
    """Drops a file onto the page."""
    window.run(
        """
        const file = new File([Uint8Array.from(given[0])], given[1], {type: given[2]})
        const dataTransfer = new DataTransfer()
        dataTransfer.items.add(file)
        const target = document.querySelector('main')
        for (const kind of ['dragenter', 'dragover', 'drop']) {
          target.dispatchEvent(new DragEvent(kind, {dataTransfer, bubbles: true, cancelable: true}))
        }
        """,
        list(content),
        name,
        kind,
    )


def test_it_decodes_as_the_model_does(page: Chromium, run_folder: Path) -> None:
    z = SHAKEN[:, :2]
    made = Run.load(run_folder).decode(z).reshape(3, -1)
    assert np.abs(decoded(page, z) - made).max() < 1e-3


def test_it_decodes_colours_in_a_class(colours: Chromium, colour_folder: Path) -> None:
    run = Run.load(colour_folder)
    for label in (0, 7):
        made = run.decode(SHAKEN, [label] * 3).reshape(3, -1)
        assert np.abs(decoded(colours, SHAKEN, label) - made).max() < 1e-3


def test_another_class_is_another_picture(colours: Chromium) -> None:
    before = colours.pixels(DECODED)
    colours.run("document.querySelector('#panel-decode select').focus()")
    colours.press("\ue015")  # down
    assert colours.state("label") == 1
    until(lambda: colours.pixels(DECODED) != before, "the lens shows another picture")


def test_the_map_holds_the_latents_of_the_test_images(page: Chromium, run_folder: Path) -> None:
    run = Run.load(run_folder)
    means = np.concatenate([encode(run.model, part.examples) for part in run.test_images()])
    codes = np.reshape(page.run("return [...data.codes]"), (-1, 2))
    assert np.abs(codes - means).max() < 1e-3 * np.ptp(means)


def test_the_lens_follows_the_pointer(page: Chromium) -> None:
    here, there = at(page, 0.3, 0.2), at(page, -0.6, -0.5)
    page.drag([here], press=False)
    before = page.pixels(DECODED)
    page.drag([here, there])
    assert page.state("z") == pytest.approx([-0.6, -0.5], abs=0.05)
    until(lambda: page.pixels(DECODED) != before, "the lens shows another picture")
    made = decoded(page, np.array([page.state("z")]))[0]
    shown = np.array(page.pixels(DECODED)).reshape(-1, 4)[:, 0]
    assert np.abs(shown - 255 * made).max() <= 1


def test_a_point_is_hovered_and_selected(page: Chromium) -> None:
    lonely = loneliest(page)
    place = tuple(points(page)[lonely])

    def hovered() -> bool:
        """Whether it is, once the pointer has moved there: a page that is busy may miss a move."""
        page.drag([(place[0], place[1] + 1), (place[0] + 1, place[1])], press=False)
        return page.state("hovered") == lonely

    until(hovered, "the point is hovered")
    page.click(place)
    assert page.state("selected") == lonely
    assert page.state("tab") == "point"
    assert page.element("#panel-point").is_displayed()


def test_the_lasso_holds_the_points_within_it(page: Chromium) -> None:
    left, top, width, height = page.box(MAP)
    outline = [(0.25, 0.3), (0.5, 0.45), (0.75, 0.2), (0.7, 0.8), (0.5, 0.6), (0.3, 0.75)]
    polygon = np.round([(left + x * width, top + y * height) for x, y in outline])
    page.button("lasso").click()
    page.drag([*map(tuple, polygon), tuple(polygon[0])])
    inside = [number for number, place in enumerate(points(page)) if within(place, polygon)]
    assert 3 < len(inside) < page.run("return data.count")
    assert sorted(page.state("region")) == inside
    assert page.state("tab") == "region"


def test_a_point_is_found_by_its_number_and_by_its_class(page: Chromium) -> None:
    field = page.element(".search input")
    field.send_keys("17\ue007")
    assert page.state("selected") == 17
    field.clear()
    field.send_keys("sandal\ue007")
    assert page.run("return contents.classes[data.labels[store.now.selected]]") == "Sandal"


def test_a_slider_moves_one_latent(colours: Chromium) -> None:
    before = colours.state("z")
    shown = colours.pixels(DECODED)
    slider = colours.element("#panel-decode input[type=range]")
    name = slider.get_attribute("aria-label")
    colours.run("given[0].focus()", slider)
    colours.press(*["\ue014"] * 8)  # right
    moved = [k for k, (old, new) in enumerate(zip(before, colours.state("z"), strict=True)) if old != new]
    assert [f"z{k + 1}" for k in moved] == [name]
    until(lambda: colours.pixels(DECODED) != shown, "the lens shows another picture")


def test_two_latents_span_the_map_as_well_as_principal_axes(colours: Chromium) -> None:
    assert colours.state("plane") == "principal"
    before = points(colours)
    colours.set(plane=[2, 5], view=None)
    colours.frames(30)
    assert np.abs(points(colours) - before).max() > 5
    before = colours.state("z")
    left, top, width, height = colours.box(MAP)
    colours.click((left + 0.1 * width, top + 0.1 * height))
    moved = {k for k, (old, new) in enumerate(zip(before, colours.state("z"), strict=True)) if abs(old - new) > 1e-5}
    assert moved == {2, 5}


def test_classes_are_switched_and_what_is_hidden_is_not_found(page: Chromium) -> None:
    lonely = loneliest(page)
    label = page.run("return data.labels[given[0]]", lonely)
    page.element(f".classes button:nth-child({label + 1})").click()
    assert page.state("hidden") == [label]
    page.drag([tuple(points(page)[lonely])], press=False)
    page.frames(3)
    assert page.state("hovered") != lonely


def test_colours_are_chosen(page: Chromium) -> None:
    for name in page.run("return Object.keys(contents.scores).concat('density', 'class')"):
        title = page.run("return contents.scores[given[0]]?.title ?? given[0]", name)
        page.button(title, "section.world").click()
        page.frames()
        assert page.state("colour") == name


def test_the_grid_lies_under_the_points(page: Chromium) -> None:
    before = page.driver.get_screenshot_as_base64()
    page.button("grid", "section.world").click()
    assert page.state("grid") is True
    until(lambda: page.driver.get_screenshot_as_base64() != before, "the map looks different")


def test_training_is_replayed(page: Chromium) -> None:
    page.element("#tab-time").click()
    page.wait("return store.now.frame !== null")
    slider = page.element("#panel-time input[type=range]")
    pictures = "return [...document.querySelectorAll('#panel-time canvas')].map((one) => one.toDataURL())"
    page.frames(10)
    last = page.run(pictures)
    page.run("given[0].focus()", slider)
    page.press("\ue011")  # home
    assert page.state("frame") == 0
    until(lambda: page.run(pictures) != last, "other reconstructions are shown")
    page.press("\ue014")
    assert page.state("frame") == 1
    page.element("#tab-decode").click()
    assert page.state("frame") is None


def test_a_dropped_picture_is_drawn_black_and_white_and_encoded(
    page: Chromium, run_folder: Path, images: ImageSet, tmp_path: Path
) -> None:
    """Of a run whose pixels are drawn as 0 or 1 so are those of the user's picture, with the greys as chances."""
    greys = images.test.images[:][5, 0]  # (28, 28)
    Image.fromarray(greys.numpy()).save(tmp_path / "mine.png")
    drop(page, (tmp_path / "mine.png").read_bytes(), "mine.png", "image/png")
    page.wait("return store.now.mine !== null")
    assert page.state("tab") == "yours"
    shown = page.pixels("#panel-yours canvas[aria-label*='as the model sees it']")
    seen = torch.tensor(shown).view(28, 28, 4)[..., 0] / 255
    assert set(seen.unique().tolist()) == {0, 1}
    assert (seen[greys == 0] == 0).all()
    assert (seen[greys == 255] == 1).all()
    spread = (greys / 255 * (1 - greys / 255)).sum().sqrt()
    assert abs(seen.sum() - greys.sum() / 255) < 4 * spread
    mean = encode(Run.load(run_folder).model, Examples(seen[None, None], view=torch.Tensor.float))
    assert np.abs(mean - page.state("mine")).max() < 1e-2


def test_a_dropped_picture_is_encoded_as_the_run_does(
    colours: Chromium, colour_folder: Path, images: ImageSet, tmp_path: Path
) -> None:
    run = Run.load(colour_folder)
    image = run.data().test.images[:][3].numpy()  # (3, 20, 16)
    Image.fromarray(image.transpose(1, 2, 0)).save(tmp_path / "mine.png")
    colours.set(label=4)
    drop(colours, (tmp_path / "mine.png").read_bytes(), "mine.png", "image/png")
    colours.wait("return store.now.mine !== null")
    mean = run.encode(image.transpose(1, 2, 0)[None], [4])[0]
    assert np.abs(mean - colours.state("mine")).max() < 1e-2


def test_what_is_no_picture_is_refused_in_words(page: Chromium) -> None:
    drop(page, b"these are words", "words.txt", "text/plain")
    page.wait("return document.querySelector('#panel-yours [role=alert]').textContent.includes('words.txt')")
    assert page.state("mine") is None


def test_a_walk_goes_from_anchor_to_anchor_and_is_saved(page: Chromium) -> None:
    for old in page.downloads.iterdir():
        old.unlink()
    page.button("anchor", "section.world").click()
    for place in ((-0.5, -0.5), (0.6, 0.4)):
        page.click(at(page, *place))
    assert len(page.state("anchors")) == 2
    page.element("#tab-walk").click()
    page.button("play", "#panel-walk").click()
    before = page.state("z")
    page.wait("return JSON.stringify(store.now.z) !== JSON.stringify(given[0])", before)
    page.button("pause", "#panel-walk").click()
    assert page.state("walking") is False
    page.wait("return [...document.querySelectorAll('#panel-walk .tile canvas')].every((one) => one.width > 1)")
    page.button("save strip", "#panel-walk").click()
    with Image.open(downloaded(page, "png")) as strip:
        strip.load()
        assert strip.width > 28 * 8
    page.button("save walk", "#panel-walk").click()
    with Image.open(downloaded(page, "gif")) as walk:
        assert getattr(walk, "n_frames", 1) >= 16
        first = np.asarray(walk.convert("L"), float) / 255
    start = decoded(page, np.array([page.state("anchors")[0]])).reshape(28, 28)
    times = first.shape[0] // 28
    assert first.shape == (28 * times, 28 * times)
    assert np.abs(first[times // 2 :: times, times // 2 :: times] - start).max() < 0.01


def test_samples_are_drawn_and_kept(page: Chromium) -> None:
    page.element("#tab-sample").click()
    page.wait("return [...document.querySelectorAll('#panel-sample .tile canvas')].every((one) => one.width > 1)")
    page.element("#panel-sample .tile").click()
    assert len(page.state("kept")) == 1
    page.element("#panel-sample .tile").click()
    assert page.state("kept") == []


def test_a_view_is_in_its_address(page: Chromium, explorer_page: Path) -> None:
    chosen = {"tab": "walk", "colour": "error", "hidden": [1, 3], "z": [0.5, -0.25], "anchors": [[0.5, 0.5], [-0.5, 0]]}
    page.set(**chosen, view={"x": 0.1, "y": 0.2, "scale": 90})
    page.wait("return location.hash.includes('view')")
    address = page.run("return location.href")
    page.open(explorer_page, "#" + address.split("#")[1])
    assert {name: page.state(name) for name in chosen} == chosen
    assert page.state("view") == pytest.approx({"x": 0.1, "y": 0.2, "scale": 90})


def test_an_address_that_makes_no_sense_does_no_harm(page: Chromium, explorer_page: Path) -> None:
    for fragment in (
        "#z=1,2,3,4&plane=9,12&frame=99&sel=5000000&hide=77",
        "#tab=nowhere&colour=__proto__&temperature=-1&label=x",
        "#view=0,0,0&anchors=1;2;3&z=NaN,Infinity",
        "#%E0%A4%A",
    ):
        page.open(explorer_page, fragment)
        assert page.element(MAP).is_displayed(), fragment
        assert np.isfinite(page.state("z")).all(), fragment
        assert len(page.state("z")) == 2, fragment


def test_keys_do_all(page: Chromium) -> None:
    stops = []
    page.run("document.activeElement.blur()")
    for _ in range(60):
        page.press("\ue004")  # tab
        stops.append(page.run("const now = document.activeElement; return `${now.tagName}.${now.className} ${now.id}`"))
    assert any("CANVAS.map" in stop for stop in stops)
    assert any("tab-decode" in stop for stop in stops)
    page.run(f"document.querySelector('{MAP}').focus()")
    before = page.state("z")
    page.press("\ue014", "\ue014", "\ue013")  # right, right, up
    assert page.state("z")[0] > before[0]
    assert page.state("z")[1] > before[1]
    page.press("\ue007")  # enter
    assert page.state("selected") is not None
    page.press("l", *["\ue014"] * 6, *["\ue013"] * 6, "l")
    assert isinstance(page.state("region"), list)
    page.press("\ue00c")  # escape
    assert page.state("selected") is None
    page.run("document.querySelector('[role=tab][aria-selected=true]').focus()")
    tab = page.state("tab")
    page.press("\ue014")
    assert page.state("tab") != tab


def test_every_control_has_a_name(page: Chromium) -> None:
    for tab in page.run("return [...document.querySelectorAll('[role=tab]')].map((one) => one.id)"):
        page.element(f"#{tab}").click()
        nameless = page.run(
            """
            const other = (one) => document.getElementById(one.getAttribute('aria-labelledby') ?? '')?.textContent
            const named = (one) => (one.getAttribute('aria-label') || one.labels?.[0]?.textContent || one.textContent
              || one.title || other(one) || '').trim()
            const kinds = 'button, a, input, select, canvas:not([aria-hidden=true]), [role=img], [role=tabpanel]'
            return [...document.querySelectorAll(kinds)].filter((one) => one.checkVisibility() && !named(one)
              && !one.closest('[aria-hidden=true]')).map((one) => one.outerHTML.slice(0, 200))
            """
        )
        assert nameless == []


def test_it_runs_in_a_frame_that_may_only_run_scripts(browser: Chromium, explorer_page: Path, tmp_path: Path) -> None:
    """As notebooks show it."""
    text = html.escape(explorer_page.read_text(encoding="utf-8"))
    frame = f'<iframe sandbox="allow-scripts" style="width: 900px; height: 600px" srcdoc="{text}"></iframe>'
    (tmp_path / "notebook.html").write_text(f'<body class="ready">{frame}', encoding="utf-8")
    browser.open(tmp_path / "notebook.html")
    browser.driver.switch_to.frame(browser.element("iframe"))
    try:
        browser.wait("return document.body.classList.contains('ready')")
        assert np.isfinite(decoded(browser, SHAKEN[:, :2])).all()
    finally:
        browser.driver.switch_to.default_content()
    assert browser.complaints() == []


def test_explanations_are_hidden_on_demand(page: Chromium) -> None:
    shown = "return [...document.querySelectorAll('.explained')].filter((one) => one.checkVisibility()).length"
    assert page.run(shown) > 0
    page.set(explain=False)
    assert page.run(shown) == 0


def test_without_webassembly_it_says_so_and_shows_pictures(browser: Chromium, explorer_page: Path) -> None:
    browser.open(explorer_page, before="delete globalThis.WebAssembly")
    assert "WebAssembly" in browser.element(".warning").text
    assert browser.complaints() == []


def test_points_look_the_same_with_webgl_and_without(browser: Chromium, explorer_page: Path) -> None:
    browser.size(1280, 900)
    browser.scheme("light")
    shots: list[np.ndarray[Any, Any]] = []
    for renderer, before in RENDERERS.items():
        browser.open(explorer_page, before=before)
        browser.frames(20)
        assert browser.run(WEBGL) == (renderer == "webgl")
        shots.append(inked(browser))
    assert browser.complaints() == []
    assert (shots[0] > 40).sum() > 200
    assert (shots[1] > 40).sum() == pytest.approx((shots[0] > 40).sum(), rel=0.3)
    assert np.corrcoef(shots[0].ravel(), shots[1].ravel())[0, 1] > 0.8


def inked(window: Chromium) -> np.ndarray:
    """How colourful the pixels of the map are: the points are, and its ground is not."""
    left, top, width, height = map(round, window.box(MAP))
    (window.downloads / "shot.png").write_bytes(window.driver.get_screenshot_as_png())
    with Image.open(window.downloads / "shot.png") as shot:
        pixels = np.asarray(shot.convert("RGB"), float)[top : top + height, left : left + width]
    (window.downloads / "shot.png").unlink()
    return np.ptp(pixels, -1)


def test_nothing_sticks_out_at_any_width(page: Chromium) -> None:
    tabs = page.run("return [...document.querySelectorAll('[role=tab]')].map((one) => one.id.slice(4))")
    for (width, height), tab in product([(360, 740), (768, 1024), (1280, 800), (1920, 1080)], tabs):
        page.size(width, height, phone=width < 400)
        page.set(tab=tab)
        page.frames(3)
        assert page.run("return document.documentElement.scrollWidth") <= width, (tab, width)
        outside = page.run(
            """
            const scrolls = (one) => one && one !== document.body
              && (/auto|scroll|hidden/.test(getComputedStyle(one).overflowX) || scrolls(one.parentElement))
            return [...document.querySelectorAll('body *')].filter((one) => {
              const {left, right, width} = one.getBoundingClientRect()
              const out = right > innerWidth + 1 || left < -1
              return one.checkVisibility() && width > 1 && out && !scrolls(one.parentElement)
            }).map((one) => one.outerHTML.slice(0, 200))
            """
        )
        assert outside == [], (tab, width)


def test_the_page_keeps_still_while_the_pointer_moves(page: Chromium) -> None:
    """What is beside the map does not jump when what it shows changes."""
    page.run(
        """
        globalThis.shifts = []
        new PerformanceObserver((list) => shifts.push(...list.getEntries().map((entry) => entry.value)))
          .observe({type: 'layout-shift', buffered: false})
        """
    )
    left, top, width, height = page.box(MAP)
    page.drag([(left + width * (0.2 + 0.02 * k), top + height * (0.3 + 0.01 * k)) for k in range(25)], press=False)
    page.frames(5)
    assert sum(page.run("return shifts")) < 0.01


def test_text_stands_out_from_its_ground(page: Chromium) -> None:
    tabs = page.run("return [...document.querySelectorAll('[role=tab]')].map((one) => one.id.slice(4))")
    for scheme, tab in product(("light", "dark"), tabs):
        page.scheme(scheme)
        page.set(tab=tab)
        page.frames(5)
        for text, size, ink, grounds in page.run(TEXTS):
            ground = (255.0, 255.0, 255.0) if scheme == "light" else (0.0, 0.0, 0.0)
            for above in grounds:
                ground = over(colour(above), ground)
            ratio = contrast(over(colour(ink), ground), ground)
            assert ratio >= 4.45, f"{text!r} in {tab}: {ink} on {grounds} has a contrast of {ratio:.2f}"
            assert size >= 11, f"{text!r} in {tab} is {size} px high"


TEXTS = """
const grounds = (one) => one ? [...grounds(one.parentElement), getComputedStyle(one).backgroundColor] : []
const own = (one) => [...one.childNodes].filter((node) => node.nodeType === 3).map((node) => node.data).join('').trim()
const seen = (one) => one.checkVisibility({opacityProperty: true}) && !one.closest(':disabled, option, script, svg')
const look = (one, style = getComputedStyle(one)) => [own(one).slice(0, 40), parseFloat(style.fontSize), style.color]
return [...document.querySelectorAll('body *')].filter((one) => own(one) && seen(one))
  .map((one) => [...look(one), grounds(one)])
"""
"""All texts that are seen, with their size, their colour, and the grounds below them, the uppermost last."""

Colour = tuple[float, ...]


def colour(text: str) -> Colour:
    """Red, green, blue and opacity of a colour as CSS computes it."""
    numbers = [float(number) for number in re.findall(r"[\d.]+(?:e-?\d+)?", text)]
    if text.startswith("color(srgb"):
        numbers = [255 * number for number in numbers[:3]] + numbers[3:]
    assert text.startswith(("rgb", "color(srgb")), text
    return (*numbers[:3], numbers[3] if len(numbers) > 3 else 1.0)


def over(above: Colour, ground: Colour) -> Colour:
    """One colour laid over another."""
    return tuple(above[3] * a + (1 - above[3]) * b for a, b in zip(above[:3], ground[:3], strict=True))


def contrast(one: Colour, other: Colour) -> float:
    """The ratio of two colours' luminances, as WCAG has it."""
    shares = [[part / 255 for part in each] for each in (one, other)]
    linear = [[c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in each] for each in shares]
    low, high = sorted(0.2126 * r + 0.7152 * g + 0.0722 * b for r, g, b in linear)
    return (high + 0.05) / (low + 0.05)
