"""The page that ``vaescope explore`` writes: what is in it, that it is right, and what is refused."""

import base64
import gzip
import html
import io
import json
import re
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from conftest import TINY
from PIL import Image
from test_config import build
from torch import Tensor, nn

import vaescope as vs
from vaescope.cli import main
from vaescope.data.images import ImageSet
from vaescope.errors import RunError, UsageError
from vaescope.explorer import explorer_html, page, programs, sizes, write_explorer
from vaescope.explorer.blocks import Blocks, short
from vaescope.explorer.gather import gather
from vaescope.explorer.points import MOST_LATENTS, check_room
from vaescope.explorer.sheets import add_sheets, thumbnails
from vaescope.explorer.travel import flat
from vaescope.run import Run

BLOCK = re.compile(r'<script type="[^"]*" id="block-(\w+)"(?: data-packed=(\w+))?>([^<]*)</script>')
SMALL = ["--model.network", "MLP", "--model.network.width", "16"]
WORDS = [*SMALL, "--model.network.encoder_blocks", "1", "--model.network.decoder_blocks", "1"]


@dataclass
class Page:
    """A page as its own script reads it."""

    text: str

    @cached_property
    def blocks(self) -> dict[str, bytes]:
        """The bytes of every block but the one of JSON."""
        return {name: unpacked(packing, text) for name, packing, text in BLOCK.findall(self.text) if name != "contents"}

    @cached_property
    def contents(self) -> dict[str, Any]:
        """What the page is told."""
        found = next(text for name, _, text in BLOCK.findall(self.text) if name == "contents")
        told: dict[str, Any] = json.loads(found)
        return told

    def array(self, name: str) -> np.ndarray:
        """An array, as floats."""
        return read(self.blocks[name], self.contents["arrays"][name])


def unpacked(packing: str, text: str) -> bytes:
    """The bytes of a block, see ``web/src/blocks.ts``."""
    content = base64.b64decode(text)
    if packing:
        content = gzip.decompress(content)
    if packing == "halves":
        whole, middle = bytearray(len(content)), (len(content) + 1) // 2
        whole[::2], whole[1::2] = content[:middle], content[middle:]
        content = bytes(whole)
    return content


def read(content: bytes, layout: dict[str, Any]) -> np.ndarray:
    """The numbers of an array, see ``web/src/blocks.ts``."""
    types = {"u8": "<u1", "u16": "<u2", "f32": "<f4"}
    given = np.frombuffer(content, types[layout["type"]]).reshape(layout["shape"])
    if layout.get("steps"):
        given = given.cumsum(0, dtype=given.dtype)
    if "low" not in layout:
        return given
    low, high = np.array(layout["low"]), np.array(layout["high"])
    values: np.ndarray = low + (high - low) * given / {"u8": 255, "u16": 65_535}[layout["type"]]
    return np.exp(values) if layout.get("log") else values


@pytest.fixture
def found(explorer_page: Path) -> Page:
    """The page of the run on the sample."""
    return Page(explorer_page.read_text(encoding="utf-8"))


# Blocks


@pytest.mark.parametrize(("log", "steps"), [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize(("kind", "most"), [("u8", 255), ("u16", 65_535)])
@pytest.mark.parametrize("shape", [(50,), (50, 3), (4, 50, 2), (1, 1)])
def test_an_array_comes_back_within_half_a_step(
    shape: tuple[int, ...], kind: Any, most: int, log: bool, steps: bool
) -> None:
    values = np.random.default_rng(0).lognormal(0, 2, shape).astype(np.float32)
    blocks = Blocks()
    blocks.add_range("x", values, kind, log, steps)
    packing, text = BLOCK.search(blocks.texts["x"])[2] or "", BLOCK.search(blocks.texts["x"])[3]  # type: ignore[index]
    back = read(unpacked(packing, text), blocks.layouts["x"])
    one, other = (np.log(values), np.log(back)) if log else (values, back)
    columns = one.reshape(-1, shape[-1] if len(shape) > 1 else 1)
    step = np.ptp(columns, axis=0) / most
    far = np.abs(other - one).reshape(columns.shape)
    assert (far <= 0.5 * step + 1e-5 * np.abs(columns)).all()  # and the ends have six digits


@pytest.mark.parametrize("size", [0, 1, 2, 7, 1000])
def test_halves_come_back(size: int) -> None:
    content = np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8).tobytes()
    blocks = Blocks()
    blocks.add("x", content, "halves")
    match = BLOCK.search(blocks.texts["x"])
    assert match
    assert unpacked(match[2], match[3]) == content


def test_what_is_no_number_is_null() -> None:
    assert short(np.array([[1.23456789, np.nan], [np.inf, -2]])) == [[1.23457, None], [None, -2.0]]


def test_nothing_in_the_contents_ends_the_script() -> None:
    blocks = Blocks()
    blocks.add_json("contents", {"classes": ["</script><img src=x onerror=alert(1)>", "<!--"]})
    assert blocks.texts["contents"].count("<") == 2  # its own two tags
    match = BLOCK.search(blocks.texts["contents"])
    assert match
    assert json.loads(match[3])["classes"][0].startswith("</script>")


# Pictures


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_sheets_hold_the_pictures(channels: int, images: ImageSet) -> None:
    shown = images.train.images[:150].numpy()
    opaque = np.full_like(shown, 255)
    tinted = [shown, shown // 4 * 3, shown // 2]
    given = np.concatenate({1: [shown], 2: [shown, opaque], 3: tinted, 4: [*tinted, opaque]}[channels], 1)
    blocks = Blocks()
    told = add_sheets(blocks, "sheet", given)
    (name,) = told["blocks"]
    match = BLOCK.search(blocks.texts[name])
    assert match
    with Image.open(io.BytesIO(base64.b64decode(match[3]))) as file:
        sheet = np.asarray(file.convert("RGBA" if channels % 2 == 0 else "RGB"), float)
    for k in (0, 77, 149):
        top, left = k // told["columns"] * told["height"], k % told["columns"] * told["width"]
        tile = sheet[top : top + told["height"], left : left + told["width"]]
        wanted = given[k] if channels > 2 else np.concatenate([given[k][:1]] * 3 + [given[k][1:]])
        assert np.sqrt(np.square(tile - wanted.transpose(1, 2, 0)).mean()) < 16  # of 255: for recognising


def test_thumbnails_are_means_of_pixels_and_never_enlarged() -> None:
    large = torch.rand(2, 3, 128, 192, generator=torch.Generator().manual_seed(0))
    small = thumbnails(large)
    assert small.shape == (2, 3, 43, 64)
    assert np.abs(small.mean((2, 3)) / 255 - large.mean((2, 3)).numpy()).max() < 3e-3
    assert (thumbnails(large[..., :64, :20]) == (255 * large[..., :64, :20]).round().byte().numpy()).all()


# The page of a run


def test_the_points_are_the_test_images_as_the_run_sees_them(found: Page, run_folder: Path) -> None:
    run = vs.load(run_folder)
    (shown,) = run.test_images()
    contents = found.contents
    assert contents["points"] == {"count": len(shown.images), "of": len(shown.images), "split": "test"}
    assert shown.labels is not None
    assert (found.array("labels") == shown.labels.numpy()).all()
    q = run.model.infer(shown.examples.values)
    codes = found.array("codes")
    assert np.abs(codes - q.mean.detach().numpy()).max() < 1e-4 * np.ptp(codes)
    assert np.abs(found.array("scales") / q.stddev.detach().numpy() - 1).max() < 0.02
    made = run.target.pixels(run.model.likelihood(q.mean).mean).detach().numpy()
    error = np.sqrt(np.square(made - shown.images.numpy() / 255).mean((1, 2, 3)))
    assert np.abs(found.array("score_error") - error).max() < 1e-4


def test_its_principal_axes_are_those_of_the_codes(found: Page) -> None:
    codes, axes = found.array("codes"), found.array("axes")
    assert axes @ axes.T == pytest.approx(np.eye(2), abs=1e-5)
    spread = np.cov((codes @ axes.T).T)
    assert spread[0, 1] == pytest.approx(0, abs=1e-3)
    assert spread[0, 0] > spread[1, 1]


def test_its_programs_do_what_the_model_does(found: Page, run_folder: Path) -> None:
    run = vs.load(run_folder)
    z = torch.randn(20, run.model.prior.latent, generator=torch.Generator().manual_seed(1))
    (made,) = onnxruntime.InferenceSession(found.blocks["decoder"]).run(["images"], {"latents": z.numpy()})
    wanted = run.decode(z)
    assert np.abs(made - wanted).max() < 1e-3
    encoder = onnxruntime.InferenceSession(found.blocks["encoder"])
    means, scales = encoder.run(["mean", "scale"], {"images": wanted})
    with torch.no_grad():
        q = run.model.infer(torch.from_numpy(wanted))
    assert np.abs(means - q.mean.numpy()).max() < 1e-3
    assert np.abs(scales - q.stddev.numpy()).max() < 1e-3


def test_its_programs_tell_nothing_of_this_machine(found: Page, run_folder: Path) -> None:
    for half in ("encoder", "decoder"):
        content = found.blocks[half]
        assert str(Path(vs.__file__).parent).encode() not in content
        assert b"stack_trace" not in content
        assert str(run_folder.parent).encode() not in content


def test_frames_lie_on_the_plane_of_the_map(run_folder: Path, found: Page) -> None:
    frames = np.load(run_folder / "frames.npz")["latents"].astype(float)
    shown = found.array("frames")
    assert shown.shape == frames.shape
    assert np.abs(shown - frames).max() <= np.ptp(frames, axis=(0, 1)).max() / 255
    assert len(found.contents["travel"]["numbers"]) == len(frames)
    z = np.random.default_rng(0).normal(size=(3, 5, 4))
    middle, axes = z.mean((0, 1)), np.eye(4)[:2]
    assert flat(z, middle, axes) == pytest.approx((z - middle)[..., :2])
    assert flat(z[..., :1], middle, axes)[..., 1].any() == False  # noqa: E712


def test_it_loads_nothing_and_says_so_first(found: Page) -> None:
    head = found.text.partition("</head>")[0]
    assert "default-src 'none'" in head
    assert head.index("Content-Security-Policy") < head.index("<style>")
    scripts = re.findall(r"<script([^>]*)>", found.text)
    assert all("src" not in attributes for attributes in scripts)
    ours = found.text.replace(page.asset("page.js").decode(), "").replace(page.asset("page.css").decode(), "")
    assert not re.search(r"https?:|//\w+\.|\ssrc=|\shref=|@import|url\(", BLOCK.sub("", ours))
    assert not re.search(r"https?:", json.dumps(found.contents))
    assert not re.search(r"@import|url\((?!['\"]?data:)", page.asset("page.css").decode())


@pytest.mark.parametrize("name", ["page.js", "page.css", "worker.js"])
def test_what_is_shipped_can_stand_in_a_page(name: str) -> None:
    text = page.asset(name).decode()
    assert not re.search(r"</(script|style)|<!--", text, re.IGNORECASE)


def test_names_are_shown_and_not_run(run_folder: Path, images: ImageSet, tmp_path: Path) -> None:
    odd = "</script><b>&amp;"
    run = vs.load(run_folder)
    classes = (odd, *run.classes[1:])
    named = Run(tmp_path / "<b>", run.config, run.model, run.shape, classes, run.step, run.loss)
    blocks = Blocks()
    contents = gather(named, images, blocks, 20, False)
    blocks.add_json("contents", contents)
    text = page.filled(named, blocks)
    assert odd not in text
    assert "<title>&lt;b&gt;: " in text
    assert Page(text).contents["classes"][0] == odd


def test_sizes_are_of_all_of_it(found: Page) -> None:
    parts = sizes(found.text)
    assert sum(parts.values()) == len(found.text.encode())
    assert {"codes", "sheet0", "encoder", "decoder", "runtime", "contents", "page"} <= set(parts)
    # what 10,000 images and 72 frames leave of 9 MB: see docs/explorer.md
    assert parts["runtime"] < 4_680_000
    assert parts["page"] + parts["worker"] < 280_000
    assert parts["sheet0"] / found.contents["points"]["count"] < 160
    assert sum(size for name, size in parts.items() if name.startswith("still_")) < 200_000


@pytest.mark.slow
def test_the_same_run_gives_the_same_bytes(run_folder: Path, found: Page) -> None:
    assert explorer_html(vs.load(run_folder)) == found.text


def test_without_images_there_are_none(run_folder: Path, images: ImageSet) -> None:
    run = vs.load(run_folder)
    with_, without = Blocks(), Blocks()
    gather(run, images, with_, 50, True)
    told = gather(run, images, without, 50, False)
    assert told["sheets"] is None
    assert set(with_.texts) - set(without.texts) == {"sheet0", "original0", "still_reconstructions"}
    assert told["travel"]["originals"] is None


# Models of every kind

KINDS = {
    "one latent": ["--model.latent", "1"],
    "many latents": ["--model.latent", "40"],
    "labels": ["--model.labels", "true"],
    "classifier": ["--model", "SemiSupervised", "--objective", "M2"],
    "sphere": ["--model.posterior", "PowerSpherical", "--model.prior", "HypersphericalUniform", "--model.latent", "3"],
    "codes": ["--model.posterior", "CategoricalCodes", "--model.prior", "UniformCodes", "--model.latent", "6"],
    "point": ["--model.posterior", "PointMass", "--model.prior", "NormalMixture", "--objective", "RAEL2"],
    "flow": ["--model.posterior", "InverseAutoregressive", "--model.prior", "CouplingFlow"],
    "covariance": ["--model.posterior", "FullNormal", "--model.prior", "VampPrior", "--model.latent", "3"],
    "levels": ["--data.targets", "grey", "--model.likelihood", "DiscretisedLogistic"],
    "centred": ["--data.targets", "centred", "--model.likelihood", "Gaussian"],
}


def untrained(words: list[str], images: ImageSet, folder: Path) -> Run:
    """A run of a model that nothing has been learned by."""
    kind = words[:2] if words[0] == "--model" else []
    settings = build(["--data.name", "sample", *kind, *WORDS, *words[len(kind) :]])
    torch.manual_seed(0)
    model = settings.model(images.shape, len(images.classes)).eval()
    return Run(folder, settings, model, images.shape, images.classes, 0, 0.0)


@pytest.mark.parametrize("name", KINDS)
def test_a_model_of_any_kind_is_described(name: str, images: ImageSet, tmp_path: Path) -> None:
    run, blocks = untrained(KINDS[name], images, tmp_path), Blocks()
    told = gather(run, images, blocks, 20, True)
    blocks.add_json("contents", told | {"arrays": blocks.layouts})
    shown, latents = Page("".join(blocks.texts.values())), run.model.prior.latent
    assert shown.array("codes").shape == (20, latents)
    assert ("scales" in blocks.texts) == (name not in ("point", "flow"))
    assert ("elbo" in told["scores"]) == (name != "point")
    assert told["model"]["point"] == (name == "point")
    assert told["model"]["labels"] == {"labels": "given", "classifier": "found"}.get(name, "none")
    assert told["model"]["support"] == {"sphere": "sphere", "codes": 8}.get(name, "all")
    assert told["prior"]["temperatures"] == ([1.0] if name in ("sphere", "codes") else [0.5, 0.7, 0.85, 1.0, 1.15, 1.3])
    draws = shown.array("draws")
    assert draws.shape[::2] == (len(told["prior"]["temperatures"]), latents)
    known = np.array(told["prior"]["quantiles"])
    assert known.shape == (latents, len(told["prior"]["probabilities"]))
    assert (np.diff(known, axis=1) >= 0).all()
    assert ("predicted" in blocks.texts) == (name == "classifier")
    for array in shown.contents["arrays"]:
        assert np.isfinite(shown.array(array)).all(), array
    if name == "sphere":
        assert np.linalg.norm(shown.array("codes"), axis=1) == pytest.approx(1, abs=1e-3)
    if name == "codes":
        steps = (shown.array("codes") + 1) * 3.5
        assert np.abs(steps - steps.round()).max() < 1e-3


def test_points_are_at_equal_distances(run_folder: Path, images: ImageSet) -> None:
    blocks = Blocks()
    told = gather(vs.load(run_folder), images, blocks, 20, False)
    assert told["points"] == {"count": 20, "of": len(images.test), "split": "test"}


@pytest.mark.usefixtures("undrawn")
def test_of_images_without_labels_there_are_no_classes(tmp_path: Path) -> None:
    levels = np.random.default_rng(0).integers(0, 65_536, (60, 90, 70), np.uint16)
    run = vs.train(levels, latent=2, out=tmp_path / "run", verbose=False, keys={
        "trainer.steps": 2, "figures.frames": 2, "figures.grid": 2, "figures.samples": 1, "figures.explorer": False,
        "model.network": "MLP", "model.network.width": 8,
    })  # fmt: skip
    blocks = Blocks()
    told = gather(run, run.data(), blocks, 10, True)
    assert told["classes"] == []
    assert "labels" not in blocks.texts
    assert (told["sheets"]["height"], told["sheets"]["width"]) == (64, 50)  # of 90x70 pixels
    assert (told["travel"]["pictures"]["height"], told["travel"]["originals"]["width"]) == (64, 50)


# What cannot be shown


class Odd(nn.Module):
    """A layer that goes one way or another by what it is given: no program can be made of it."""

    def forward(self, x: Tensor) -> Tensor:
        """Either of two."""
        return x if x.sum() > 0 else -x


def test_the_layer_that_has_no_form_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    layers = nn.Sequential(nn.Linear(2, 3), Odd())

    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = layers

        def forward(self, latents: Tensor) -> dict[str, Tensor]:
            return {"images": self.net(latents)}

    with programs.quiet():
        assert programs.culprit(Half(), {"latents": torch.ones(2, 2)}) == "because of its layer net.1 (Odd) "
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("error", [UsageError("the decoder has no onnx form"), RunError("its images differ")])
def test_without_programs_there_is_a_page_that_says_why(
    error: Exception, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise error

    monkeypatch.setattr(page, "programs", stop)
    shown = Page(explorer_html(vs.load(run_folder)))
    assert shown.contents["model"]["missing"] == str(error)
    assert not {"encoder", "decoder", "runtime"} & set(shown.blocks)
    assert {"codes", "frames", "sheet0"} <= set(shown.blocks)


@pytest.mark.slow
def test_weights_that_half_precision_cannot_hold_are_kept_whole(
    run_folder: Path, images: ImageSet, monkeypatch: pytest.MonkeyPatch, found: Page
) -> None:
    monkeypatch.setitem(programs.TOLERANCES, "decoder", 2e-6)  # which single precision keeps to
    made = programs.programs(vs.load(run_folder), images)
    assert made["encoder"] == found.blocks["encoder"]
    assert len(made["decoder"]) > 1.5 * len(found.blocks["decoder"])


@pytest.mark.parametrize("points", [0, -1, 100_001, 2.5, True, "10"])
def test_points_are_a_number(points: Any, run_folder: Path) -> None:
    with pytest.raises(UsageError, match="points given: give a whole number from 1 to"):
        explorer_html(vs.load(run_folder), points)


def test_too_many_latents_are_refused_at_once(images: ImageSet, tmp_path: Path) -> None:
    run = untrained(["--model.latent", "100000"], images, tmp_path)
    with pytest.raises(UsageError, match=f"100,000 latents, and an explorer shows up to {MOST_LATENTS:,}: a slider"):
        explorer_html(run)


def test_more_points_than_there_is_room_for_are_refused() -> None:
    check_room(256, 70_000)
    with pytest.raises(UsageError, match=r"would make a page of 273 MB: ask for at most 18,310 points"):
        check_room(1024, 100_000)


def test_latents_that_are_no_numbers_are_refused(run_folder: Path, images: ImageSet) -> None:
    run = vs.load(run_folder)
    next(run.model.posterior.parameters()).data.fill_(float("nan"))
    with pytest.raises(UsageError, match="latents that are no numbers"):
        gather(run, images, Blocks(), 10, True)


# From the command line and in a notebook


def test_explore_writes_one_whole_file(
    run_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    untraced: None,
) -> None:
    seen: list[str] = []
    monkeypatch.setattr("webbrowser.open", seen.append)
    out = tmp_path / "new" / "x.html"
    assert main(["explore", str(run_folder), "--points", "7", "--no-images", "-o", str(out), "--open"]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    assert seen == [out.resolve().as_uri()]
    assert [path.name for path in out.parent.iterdir()] == ["x.html"]
    shown = Page(out.read_text(encoding="utf-8")).contents
    assert (shown["points"]["count"], shown["sheets"]) == (7, None)


def test_a_file_that_is_there_stays_when_a_new_one_cannot_be_made(
    run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.html").write_text("old")
    monkeypatch.setattr(page, "explorer_html", lambda *_: "\udfff")  # which no file can hold
    with pytest.raises(UnicodeEncodeError):
        write_explorer(vs.load(run_folder), tmp_path / "x.html")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def explored(*words: str) -> str:
    """What is told of a mistake on the command line."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stderr", said := io.StringIO())
        assert main(["explore", *words]) == 2
    return said.getvalue()


@pytest.mark.usefixtures("untraced")
def test_mistakes_are_one_line(run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, bare, own = str(run_folder), tmp_path / "bare", tmp_path / "own"
    shutil.copytree(run_folder, bare)
    (bare / "model.safetensors").unlink()
    shutil.copytree(run_folder, own)
    text = (own / "config.yaml").read_text()
    (own / "config.yaml").write_text(text.replace("name: sample", "name: images").replace("root: data", "root: gone"))
    missing = "onnxruntime"
    said = {
        (str(bare),): "holds no weights yet",
        (str(tmp_path),): "is no run folder",
        (str(own),): "data.root is gone, which does not exist",
        (run, "--points", "0"): "--points: 0 given",
        (run, "--points", "200000"): "200000 points given",
        (run, "-o", str(tmp_path / "x.pdf")): "its ending must be .html",
        (run, "-o", str(bare / "config.yaml" / "x.html")): "cannot be written",
    }
    for words, why in said.items():
        told = explored(*words)
        assert why in told.splitlines()[-1], told
    monkeypatch.setitem(__import__("sys").modules, missing, None)
    assert explored(run).splitlines()[-1].endswith("pip install 'vaescope[explore]'")


def test_a_notebook_shows_it_in_a_frame_that_can_reach_nothing(
    run_folder: Path, tmp_path: Path, untraced: None
) -> None:
    shown = vs.load(run_folder).explore(points=10, images=False)
    text = shown._repr_html_()
    frame = re.search(r'<iframe [^>]*sandbox="([^"]*)"[^>]*srcdoc="([^"]*)"', text)
    assert frame
    assert frame[1] == "allow-scripts allow-downloads"  # nor is it of the notebook's own origin
    assert html.unescape(frame[2]) == shown.page
    picture = re.search(r'<img alt="[^"]*" src="data:image/png;base64,([^"]*)">', text.partition("<iframe")[0])
    assert picture
    assert len(picture[1]) < 80_000
    with Image.open(io.BytesIO(base64.b64decode(picture[1]))) as thumbnail:
        assert thumbnail.width <= 480
    assert shown.save(tmp_path / "x.html").read_text(encoding="utf-8") == shown.page
    assert repr(shown).startswith(f"Explorer of {run_folder.name}: a page of ")


# At the end of training

FEW = ["train", *TINY, "--trainer.steps", "2", "--figures.frames", "0", "--figures.explorer", "true"]


@pytest.mark.usefixtures("undrawn")
def test_training_ends_with_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    assert main([*FEW, "--out", str(out)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"walk in it   {out}/explorer.html: open it in a browser"
    assert Page((out / "explorer.html").read_text(encoding="utf-8")).contents["model"]["missing"] == ""


def test_a_run_is_there_without_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    out = tmp_path / "run"
    assert main([*FEW, "--out", str(out), "--json"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["explorer"] is None
    assert "there is no explorer.html: this needs onnx: pip install 'vaescope[explore]'" in shown.err.splitlines()
    assert {"model.safetensors", "README.md", "figures"} <= {path.name for path in out.iterdir()}
    assert not (out / "explorer.html").exists()
