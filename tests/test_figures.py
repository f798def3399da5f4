"""Laws of the pictures: they open, they fit, colours and pixels are kept, and the same numbers give the same bytes."""

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vaescope.figures import activity, animation, curves, diagram, gif, points, scatter, style, tiles, views
from vaescope.figures.curves import Curve
from vaescope.figures.diagram import Stage

TEXT = {"title": "What is seen, on which data and split", "footer": "run main · step 15,000 · validation set"}
CAPTION = "step 1,250 · epoch 3.2 · −ELBO 268.4 = 259.1 + 9.3 nats"
NAMES = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]


def pixels(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape).astype(np.float32)


def latents(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def classes(points: int, count: int = 10) -> np.ndarray:
    return np.arange(points) % count


def curve(points: int) -> Curve:
    step = np.linspace(0, 1000, points)
    return Curve(step, 300 + 200 * np.exp(-step), 290 + 200 * np.exp(-step), np.full(points, 10.0))


def active(path: Path, D: int, T: int = 9, known: bool = True) -> None:
    amounts, steps = np.random.default_rng(0).gamma(0.5, size=D), np.arange(T) * 100
    courses = [activity.active_units(steps, steps % (D + 1), D), activity.mutual_information(steps, steps / 200, 1000)]
    on = amounts > 0.1 if known else None
    activity.latent_activity(path, amounts, on, courses if known else [], unit="KL, nats per image", **TEXT)


def stages(count: int) -> list[Stage]:
    return [
        Stage("convolution", (64, 7, 7), 32_832, "4×4, stride 2"),
        *[Stage("linear", (256,), 803_072)] * (count - 1),
    ]


def architecture(path: Path, deep: int = 4, **options: Any) -> None:
    ends = {"data": Stage("x", (1, 28, 28)), "output": Stage("logits", (1, 28, 28))}
    names = {"prior": "N(0, I)", "posterior": "N(μ(x), σ²(x) I)", "likelihood": "Bernoulli", "objective": "−ELBO"}
    diagram.architecture(path, stages(deep), Stage("z", (20,)), stages(deep), **ends, **names, **TEXT, **options)


def latent_space(path: Path, rows: int = 5, cols: int = 4, shape: tuple[int, ...] = (1, 28, 28)) -> None:
    tiles.latent_space(path, pixels(rows, cols, *shape), latents(rows), latents(cols), **TEXT)


def traversals(path: Path, values: np.ndarray, shape: tuple[int, ...] = (1, 28, 28)) -> None:
    tiles.traversals(path, pixels(*values.shape, *shape), values, [f"z{i}" for i in range(len(values))], **TEXT)


def scattered(path: Path, points: int = 300, d: int = 2, named: list[str] | None = NAMES, **options: Any) -> None:
    labels = classes(points, len(named)) if named else None
    scatter.latent_representation(path, latents(points, d), labels, named or [], **{**TEXT, **options})


def by_class(path: Path, count: int, columns: int = 10, shape: tuple[int, ...] = (1, 28, 28)) -> None:
    tiles.classes(path, pixels(count, columns, *shape), [f"class number {k}" for k in range(count)], **TEXT)


def pairs(path: Path, shape: tuple[int, ...]) -> None:
    tiles.comparison(path, pixels(7, *shape), pixels(7, *shape, seed=1), **TEXT)


def bands(path: Path, classes: int, shape: tuple[int, ...]) -> None:
    names = [f"class number {k}" for k in range(classes)]
    tiles.reconstructions(path, pixels(classes, 3, *shape), pixels(classes, 3, *shape, seed=1), names, **TEXT)


def moving(
    path: Path, T: int = 4, points: int = 300, d: int = 2, named: list[str] | None = NAMES, **options: Any
) -> None:
    frames, labels = latents(T, points, d), classes(points, len(named)) if named else None
    options = {"title": TEXT["title"], **options}
    animation.latent_representation(path, frames, labels, named or [], [CAPTION] * T, **options)


def progressing(path: Path, T: int = 4, N: int = 20, shape: tuple[int, ...] = (1, 28, 28), **options: Any) -> None:
    originals, frames = pixels(N, *shape), pixels(T, N, *shape, seed=1)
    animation.latent_progression(path, originals, frames, [CAPTION] * T, title=TEXT["title"], **options)


EMPTY = Curve(*np.zeros((4, 0)))
ODD = (3, 20, 37)

STILL: dict[str, Callable[[Path], None]] = {
    "curves": lambda path: curves.training_curves(path, curve(200), curve(20), **TEXT, floor=201.3),
    "curves of one step": lambda path: curves.training_curves(path, curve(1), curve(1), **TEXT),
    "curves without validation": lambda path: curves.training_curves(path, curve(50), EMPTY, **TEXT),
    "activity of 2 latents": lambda path: active(path, 2),
    "activity of 128 latents": lambda path: active(path, 128, 2),
    "activity, one step": lambda path: active(path, 8, 1),
    "activity without a course": lambda path: active(path, 13, known=False),
    "reconstructions": lambda path: bands(path, 10, (1, 28, 28)),
    "reconstructions, odd": lambda path: bands(path, 1, ODD),
    "reconstructions, many": lambda path: bands(path, 20, (4, 9, 5)),
    "samples": lambda path: tiles.samples(path, pixels(20, 1, 28, 28), **TEXT),
    "one sample": lambda path: tiles.samples(path, pixels(1, *ODD), **TEXT),
    "large samples": lambda path: tiles.samples(path, pixels(9, 3, 700, 500), **TEXT),
    "samples with a long title": lambda path: tiles.samples(
        path, pixels(2, *ODD), title="long title " * 20, footer="/a/path/" * 60
    ),
    "comparison": lambda path: pairs(path, (1, 28, 28)),
    "comparison, grey and alpha": lambda path: pairs(path, (2, 5, 9)),
    "latent space": lambda path: latent_space(path, 20, 20),
    "latent space, odd": lambda path: latent_space(path, 2, 3, ODD),
    "latent space of one": lambda path: latent_space(path, 1, 1),
    "classes": lambda path: by_class(path, 10),
    "classes, many and odd": lambda path: by_class(path, 30, 3, ODD),
    "one class": lambda path: by_class(path, 1),
    "latent circle": lambda path: tiles.latent_space(
        path, pixels(1, 12, 1, 28, 28), [0], 30 * np.arange(12), names=("angle", ""), **TEXT
    ),
    "traversals": lambda path: traversals(path, np.tile(np.linspace(-3, 3, 11), (8, 1))),
    "traversals, uneven": lambda path: traversals(path, latents(3, 5), ODD),
    "scatter, 1 latent": lambda path: scattered(path, d=1),
    "scatter, 2 latents": lambda path: scattered(path),
    "scatter, 3 latents": lambda path: scattered(path, d=3),
    "scatter, 12 classes": lambda path: scattered(path, named=[f"class {k}" for k in range(12)]),
    "scatter, 40 classes": lambda path: scattered(path, named=[f"a long class name {k}" for k in range(40)]),
    "scatter, names with dollars": lambda path: scattered(path, named=["US$", "$x^{$", "\\frac"], axes=("$", "z2")),
    "scatter, 1 class": lambda path: scattered(path, named=["only"], sigma_circles=False),
    "scatter, no labels": lambda path: scattered(path, named=None),
    "scatter, 3 latents, no labels": lambda path: scattered(path, d=3, named=None),
    "scatter of one point": lambda path: scattered(path, points=1, named=None),
    "diagram": lambda path: architecture(path, example=pixels(1, 28, 28), decoded=pixels(*ODD)),
    "diagram, shallow": lambda path: architecture(path, 2),
    "diagram, labels": lambda path: architecture(path, labels="one of 10 classes"),
    "diagram, classifier": lambda path: architecture(path, labels="one of 10 classes", classifier=True),
    "diagram, point": lambda path: architecture(path, point=True),
    "diagram, deep": lambda path: architecture(path, 12),
}
MOVING: dict[str, tuple[int, Callable[[Path], None]]] = {
    "2 latents": (4, moving),
    "3 latents": (3, lambda path: moving(path, 3, d=3)),
    "3 latents, no labels": (2, lambda path: moving(path, 2, d=3, named=None)),
    "no labels": (2, lambda path: moving(path, 2, named=None)),
    "one frame": (1, lambda path: moving(path, 1)),
    "12 classes": (2, lambda path: moving(path, 2, named=[f"a very long class name {k}" for k in range(12)])),
    "40 classes, narrow": (2, lambda path: moving(path, 2, named=[f"class {k}" for k in range(40)], width=480)),
    "progression": (4, lambda path: progressing(path, names=NAMES * 2)),
    "progression, colour": (3, lambda path: progressing(path, 3, shape=ODD, width=640)),
    "progression, one": (1, lambda path: progressing(path, 1, 1, names=["only"])),
    "progression, large": (2, lambda path: progressing(path, 2, 7, (3, 90, 300))),
}


def opened(path: Path) -> Image.Image:
    with Image.open(io.BytesIO(path.read_bytes())) as image:
        image.load()
        return image.convert("RGB")


def frames_of(path: Path) -> list[tuple[np.ndarray, int]]:
    """Every frame as RGB, and how long it is shown in milliseconds."""
    with Image.open(path) as image:
        frames = []
        for t in range(getattr(image, "n_frames", 1)):
            image.seek(t)
            frames.append((np.asarray(image.convert("RGB")), image.info["duration"]))
        return frames


def packed(image: np.ndarray) -> np.ndarray:
    """One number a colour: (h, w, 3) becomes (h, w)."""
    return image.astype(np.int64) @ (65536, 256, 1)


def find(part: np.ndarray, whole: np.ndarray) -> bool:
    """Whether an image (h, w, 3) stands somewhere in another one, pixel by pixel."""
    part, whole = packed(part), packed(whole)
    h, w = part.shape
    if h > whole.shape[0] or w > whole.shape[1]:
        return False
    first, last = whole[: len(whole) - h + 1, : whole.shape[1] - w + 1], whole[h - 1 :, w - 1 :]
    corners = np.argwhere((first == part[0, 0]) & (last == part[-1, -1]))
    return any(np.array_equal(whole[y : y + h, x : x + w], part) for y, x in corners)


@pytest.mark.parametrize("name", STILL)
def test_a_still_picture_opens_and_fits(name: str, tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "picture.png"
    STILL[name](path)
    image = opened(path)
    assert 480 <= image.width <= 1600
    assert image.height <= 5000
    border = np.concatenate([np.asarray(image)[:, :8].reshape(-1), np.asarray(image)[:, -8:].reshape(-1)])
    assert (border == 255).all(), "something reaches the edge of the page and may be cut off"
    assert [file.name for file in path.parent.iterdir()] == ["picture.png"]


@pytest.mark.parametrize("d", [2, 3])
def test_the_names_of_the_axes_are_whole_beside_ticks_with_decimals(
    d: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a sphere, all of whose coordinates are below 1."""
    drawn, left = style.drawn, list[float]()

    def watched(draw: Callable[..., None], *size: int) -> Image.Image:
        def measured(figure: Any) -> None:
            draw(figure)
            figure.canvas.draw()
            left.extend(panel.yaxis.label.get_window_extent().x0 for panel in figure.axes if panel.axison)

        return drawn(measured, *size)

    monkeypatch.setattr(style, "drawn", watched)
    z = 0.02 * latents(300, d) - 0.2
    scatter.latent_representation(tmp_path / "a.png", z, classes(300, 10), NAMES, sigma_circles=False, **TEXT)
    assert min(left) >= 0


@pytest.mark.parametrize("name", MOVING)
def test_an_animation_has_its_frames_times_and_size(name: str, tmp_path: Path) -> None:
    T, draw = MOVING[name]
    path = tmp_path / "picture.gif"
    draw(path)
    frames = frames_of(path)
    assert len(frames) == T
    assert [time for _, time in frames] == [700, *[80] * (T - 2), 2000][-T:]
    assert 480 <= frames[0][0].shape[1] <= 640
    assert path.stat().st_size <= gif.LIMIT
    with Image.open(path) as image:
        assert image.info["loop"] == 0


def test_equal_frames_are_not_merged(tmp_path: Path) -> None:
    z = np.repeat(latents(1, 50, 2), 5, axis=0)
    animation.latent_representation(tmp_path / "a.gif", z, classes(50), NAMES, ["the same"] * 5, title="title")
    assert [time for _, time in frames_of(tmp_path / "a.gif")] == [700, 80, 80, 80, 2000]


@pytest.mark.parametrize(
    "name", ["scatter, 2 latents", "scatter, 3 latents", "activity of 2 latents", "latent space", "curves", "diagram"]
)
def test_the_same_numbers_give_the_same_bytes(name: str, tmp_path: Path) -> None:
    STILL[name](tmp_path / "a.png")
    np.random.seed(7)
    STILL[name](tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("name", ["2 latents", "3 latents", "progression", "progression, colour"])
def test_the_same_numbers_give_the_same_animation(name: str, tmp_path: Path) -> None:
    MOVING[name][1](tmp_path / "a.gif")
    MOVING[name][1](tmp_path / "b.gif")
    assert (tmp_path / "a.gif").read_bytes() == (tmp_path / "b.gif").read_bytes()


def test_drawing_leaves_the_global_random_state_alone(tmp_path: Path) -> None:
    before = np.random.get_state()[1].copy()
    scattered(tmp_path / "a.png", d=1)
    scattered(tmp_path / "a.png")
    moving(tmp_path / "a.gif", d=3)
    assert (np.random.get_state()[1] == before).all()


@pytest.mark.parametrize("classes", [1, 10, 12, 30])
def test_a_class_has_one_colour_in_all_pictures(classes: int, tmp_path: Path) -> None:
    names = [f"c{k}" for k in range(classes)]
    scattered(tmp_path / "a.png", points=3 * classes, named=names)
    moving(tmp_path / "a.gif", 2, points=3 * classes, named=names)
    moving(tmp_path / "b.gif", 2, points=3 * classes, named=names, d=3)
    shown = [style.rgb(style.colour(k, classes)) for k in range(min(classes, scatter.LEGEND, points.LEGEND))]
    still, plane, turning = opened(tmp_path / "a.png"), *(frames_of(tmp_path / f"{x}.gif")[-1][0] for x in "ab")
    for picture in (np.asarray(still), plane, turning):
        assert np.isin(packed(np.array(shown)), packed(picture)).all()


def test_colours_differ_between_the_first_thirty_classes_and_then_come_back() -> None:
    assert len({style.colour(k, 30) for k in range(30)}) == 30
    assert style.colour(31, 40) == style.colour(1, 2)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 20, 37)])
def test_pixels_are_squares_and_nothing_is_smoothed(shape: tuple[int, ...], tmp_path: Path) -> None:
    source = np.random.default_rng(0).integers(0, 256, (6, *shape), dtype=np.uint8)
    tiles.samples(tmp_path / "a.png", source, **TEXT)
    picture = np.asarray(opened(tmp_path / "a.png"))
    image = np.moveaxis(np.broadcast_to(source[4], (3, *shape[1:])), 0, -1)
    factors = [f for f in range(1, 20) if find(image.repeat(f, 0).repeat(f, 1), picture)]
    assert len(factors) == 1
    architecture(tmp_path / "b.png", example=source[4])
    picture = np.asarray(opened(tmp_path / "b.png"))
    assert any(find(image.repeat(f, 0).repeat(f, 1), picture) for f in range(1, 20))


def test_the_landscape_has_no_gaps(tmp_path: Path) -> None:
    source = np.random.default_rng(0).integers(0, 256, (2, 3, 1, 8, 8), dtype=np.uint8)
    tiles.latent_space(tmp_path / "a.png", source, [1, -1], [-1, 0, 1], **TEXT)
    joined = source[:, :, 0].transpose(0, 2, 1, 3).reshape(16, 24, 1).repeat(3, 2)
    picture = np.asarray(opened(tmp_path / "a.png"))
    assert any(find(joined.repeat(f, 0).repeat(f, 1), picture) for f in range(1, 60))


def test_a_grey_progression_keeps_every_pixel(tmp_path: Path) -> None:
    originals = np.random.default_rng(0).integers(0, 256, (4, 1, 9, 9), dtype=np.uint8)
    frames = np.stack([originals // 2, originals])
    animation.latent_progression(tmp_path / "a.gif", originals, frames, ["before", "after"], title="title")
    for (picture, _), now in zip(frames_of(tmp_path / "a.gif"), frames, strict=True):
        for image in (originals[3, 0], now[3, 0]):
            large = image[..., None].repeat(3, 2)
            assert any(find(large.repeat(f, 0).repeat(f, 1), picture) for f in range(1, 40))


def test_alpha_is_laid_on_white() -> None:
    image = np.array([[[0, 0]], [[0, 255]]], dtype=np.uint8)  # black, transparent then opaque: (2, 1, 2)
    assert style.as_bytes(image)[0].tolist() == [[255] * 3, [0] * 3]


def test_a_sheet_is_tiles_and_white_gaps() -> None:
    sheet = style.sheet(np.zeros((2, 3, 4, 5, 3), np.uint8), gap=2)
    assert sheet.shape == (2 * 4 + 2, 3 * 5 + 2 * 2, 3)
    assert (sheet[4:6] == 255).all()
    assert (sheet[:, 5:7] == 255).all()
    assert int((sheet == 0).all(-1).sum()) == 2 * 3 * 4 * 5


def test_frames_that_do_not_fit_lose_points_and_then_every_second_frame(tmp_path: Path, monkeypatch: Any) -> None:
    moving(tmp_path / "full.gif", 9, points=4000)
    monkeypatch.setattr(gif, "LIMIT", (tmp_path / "full.gif").stat().st_size // 2)
    moving(tmp_path / "less.gif", 9, points=4000)
    assert (tmp_path / "less.gif").stat().st_size <= gif.LIMIT
    assert len(frames_of(tmp_path / "less.gif")) == 9
    monkeypatch.setattr(gif, "LIMIT", 40_000)
    moving(tmp_path / "least.gif", 9, points=4000)
    frames = frames_of(tmp_path / "least.gif")
    assert (tmp_path / "least.gif").stat().st_size <= gif.LIMIT
    assert 1 <= len(frames) < 9
    last = frames_of(tmp_path / "less.gif")[-1][0][-20:]  # the caption and the whole bar
    assert (frames[-1][0][-20:] == last).all()


def test_what_never_fits_is_said(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(gif, "LIMIT", 100)
    with pytest.raises(ValueError, match="does not fit into 4 MB"):
        moving(tmp_path / "a.gif", 3)
    assert not (tmp_path / "a.gif").exists()


def test_an_oblique_view_is_a_rotation_and_keeps_spheres() -> None:
    for azimuth in (-50, 0, 37, 180):
        matrix = views.oblique(azimuth).matrix
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(2), atol=1e-12)
    assert len(views.cube_edges(views.oblique(20))) == 9


def test_the_window_shows_the_last_frame_whole_and_is_not_stretched_by_a_first_one_far_away() -> None:
    frames = latents(2, 500, 2)
    calm = views.window(frames[1], frames, circles=True)
    frames[0] *= 1000
    wild = views.window(frames[1], frames, circles=True)
    assert wild.holds(frames[1]).all()
    assert calm.half <= wild.half <= 2.5 * calm.half


def test_numbers_have_true_minus_signs_and_as_many_decimals() -> None:
    assert style.numbers([-2, 0, 2]) == ["−2", "0", "2"]
    assert style.numbers([-1.6449, -0.001, 0.5]) == ["−1.64", "0.00", "0.50"]


def test_wrapped_lines_fit_and_keep_every_character() -> None:
    text = "a title with/averyverylongpath/that/breaks within and between words"
    lines = style.wrapped(text, 20, 150)
    assert all(style.text_width(line, 20) <= 150 for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize("name", ["W" * 10_000, "\u0301" * 10_000, "i" * 10_000 + " x"])
def test_a_name_of_any_length_is_cut_as_fast_as_one_that_fits(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    measured, width_of = [], style.text_width
    monkeypatch.setattr(style, "text_width", lambda text, *look: measured.append(len(text)) or width_of(text, *look))
    short = style.shortened(name, 14, 200)
    assert short.endswith("…")
    assert 190 * (name[0] in "Wi") <= width_of(short, 14) <= 200
    lines = style.wrapped(name, 14, 200)
    assert "".join(lines).replace(" ", "") == name.replace(" ", "")
    assert all(width_of(line, 14) <= 200 for line in lines)
    assert sum(measured) < 60 * len(name)


MISTAKES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "channels": ("1 to 4 channels", lambda path: tiles.samples(path, pixels(2, 5, 8, 8), **TEXT)),
    "dimensions": ("N, C, H, W", lambda path: tiles.samples(path, pixels(8, 8), **TEXT)),
    "no images": ("at least one pixel", lambda path: tiles.samples(path, pixels(0, 1, 8, 8), **TEXT)),
    "range": ("in \\[0, 1\\]", lambda path: tiles.samples(path, 3 * pixels(2, 1, 8, 8), **TEXT)),
    "nan": ("in \\[0, 1\\]", lambda path: tiles.samples(path, pixels(2, 1, 8, 8) * np.nan, **TEXT)),
    "pairs": (
        "one shape",
        lambda path: tiles.comparison(path, pixels(2, 1, 8, 8), pixels(3, 1, 8, 8), **TEXT),
    ),
    "row names": (
        "as many names",
        lambda path: tiles.reconstructions(path, pixels(2, 3, 1, 8, 8), pixels(2, 3, 1, 8, 8), ["a"], **TEXT),
    ),
    "class rows": ("as many names", lambda path: tiles.classes(path, pixels(2, 3, 1, 8, 8), ["a"], **TEXT)),
    "rows": ("rows of images", lambda path: tiles.latent_space(path, pixels(2, 3, 1, 8, 8), [0], [0, 1, 2], **TEXT)),
    "columns": ("columns of images", lambda path: tiles.latent_space(path, pixels(2, 3, 1, 8, 8), [0, 1], [0], **TEXT)),
    "values": (
        "values need the shape",
        lambda path: tiles.traversals(path, pixels(2, 3, 1, 8, 8), latents(3, 2), ["a", "b"], **TEXT),
    ),
    "too wide": (
        "more than 1,600",
        lambda path: tiles.traversals(path, pixels(1, 900, 1, 2, 2), latents(1, 900), ["a"], **TEXT),
    ),
    "curve": ("one shape", lambda path: Curve(np.arange(3), np.arange(3), np.arange(3), np.arange(2))),
    "no latents": ("shape \\(D,\\)", lambda path: active(path, 0)),
    "no course": ("at least one", lambda path: activity.active_units(np.zeros(0), np.zeros(0), 3)),
    "no curve": ("nothing to draw", lambda path: curves.training_curves(path, EMPTY, EMPTY, **TEXT)),
    "4 latents": ("1 or 2 or 3 dimensions", lambda path: scattered(path, d=4)),
    "1 moving latent": ("2 or 3 dimensions", lambda path: moving(path, d=1)),
    "labels": (
        "as many labels",
        lambda path: scatter.latent_representation(path, latents(5, 2), [0, 1], NAMES, **TEXT),
    ),
    "label": ("class names", lambda path: scatter.latent_representation(path, latents(2, 2), [0, 9], ["a"], **TEXT)),
    "float labels": (
        "labels are integers",
        lambda path: scatter.latent_representation(path, latents(2, 2), [0.5, 1], NAMES, **TEXT),
    ),
    "no points": ("no points", lambda path: scattered(path, points=0, named=None)),
    "infinite": (
        "not finite",
        lambda path: scatter.latent_representation(path, latents(2, 2) * np.inf, None, [], **TEXT),
    ),
    "axes": ("axis names", lambda path: scattered(path, d=3, axes=("z1", "z2"))),
    "captions": (
        "as many captions",
        lambda path: animation.latent_representation(path, latents(3, 9, 2), None, [], ["a"], title="t"),
    ),
    "width": ("480 to 640", lambda path: moving(path, width=900)),
    "progression": (
        "T, N, C, H, W",
        lambda path: animation.latent_progression(path, pixels(2, 1, 8, 8), pixels(3, 1, 8, 8), ["a"] * 3, title="t"),
    ),
    "progression names": ("as many names", lambda path: progressing(path, names=["a"])),
    "no frames": ("no frames", lambda path: progressing(path, 0)),
    "no stages": ("at least one stage", lambda path: _no_stages(path)),
    "class": ("no class 3", lambda path: style.require(bool(style.colour(3, 2)), "")),
}


def _no_stages(path: Path) -> None:
    x = Stage("x", (1, 8, 8))
    words = {"prior": "", "posterior": "", "likelihood": "", "objective": ""}
    diagram.architecture(path, [], x, [], data=x, output=x, **words, **TEXT)


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_explained_in_one_line(name: str, tmp_path: Path) -> None:
    message, draw = MISTAKES[name]
    with pytest.raises(ValueError, match=message) as caught:
        draw(tmp_path / "picture.out")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_drawing_needs_no_display_and_importing_is_cheap(tmp_path: Path) -> None:
    program = f"""
import sys
import numpy as np
import vaescope.figures
assert "matplotlib" not in sys.modules and "torch" not in sys.modules
from vaescope.figures import scatter, animation
z = np.random.default_rng(0).normal(size=(2, 50, 3))
scatter.latent_representation({str(tmp_path / "a.png")!r}, z[0], None, [], title="t", footer="f")
animation.latent_representation({str(tmp_path / "a.gif")!r}, z, None, [], ["a", "b"], title="t")
assert "matplotlib.pyplot" not in sys.modules and "torch" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], env={"MPLBACKEND": "tkagg"}, check=False)
    assert done.returncode == 0
