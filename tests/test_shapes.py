"""Images of any shape, from a network's first layer to the pictures of a run."""

import math
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vaescope import config
from vaescope.cli import main
from vaescope.data.images import ImageSet, Split
from vaescope.errors import UsageError
from vaescope.families import DiscretisedLogistic
from vaescope.figures import animation, curves, scatter, style, tiles
from vaescope.models import VAE, Flat
from vaescope.nets import MLP, Conv, DeepConv, Linear, Network, ResConv
from vaescope.observers import read_lines
from vaescope.outline import count
from vaescope.picks import STEPS, pick_training
from vaescope.pictures import in_rows, of_each_class, shown_indices
from vaescope.request import expand_data, parser
from vaescope.run import Run

PRESETS: list[Network] = [MLP(), Conv(), ResConv(), DeepConv(), Linear()]
NARROW: list[Network] = [MLP(width=4), Conv(channels=2, hidden=4), ResConv(channels=4), DeepConv((2, 3, 4)), Linear()]
SIDES = st.integers(8, 256) | st.sampled_from((8, 9, 16, 17, 255, 256))
SHAPES = st.tuples(st.integers(1, 4), SIDES, SIDES)
SMALL = st.tuples(st.integers(1, 4), st.integers(8, 48), st.integers(8, 48))

every_preset = pytest.mark.parametrize("network", PRESETS, ids=lambda network: type(network).__name__)


def sized(network: Network, shape: tuple[int, ...], latent: int = 32) -> VAE:
    """A model without the memory for its parameters."""
    with torch.device("meta"):
        return Flat(latent=latent, network=network)(shape)


@every_preset
@settings(max_examples=8, deadline=None)
@given(shape=SHAPES)
def test_every_preset_fits_every_shape(network: Network, shape: tuple[int, int, int]) -> None:
    model = sized(network, shape)
    x = torch.rand(2, *shape, device="meta")
    likelihood = model(x).likelihood
    assert likelihood.mean.shape == x.shape
    assert likelihood.log_prob(x).shape == (2,)


@settings(max_examples=20, deadline=None)
@given(shape=SMALL, network=st.sampled_from(NARROW))
def test_reconstructions_have_the_shape_of_the_images(shape: tuple[int, int, int], network: Network) -> None:
    torch.manual_seed(0)
    model = Flat(latent=3, network=network, likelihood=DiscretisedLogistic)(shape)
    x = torch.rand(2, *shape)
    mean = model(x).likelihood.mean
    assert mean.shape == x.shape
    assert 0 <= mean.min() <= mean.max() <= 1


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(3, 256, 256), (1, 8, 256), (4, 255, 64), (2, 37, 21), (3, 9, 255)], ids=str)
@pytest.mark.parametrize("network", NARROW, ids=lambda network: type(network).__name__)
def test_large_and_long_images_are_trained_on(network: Network, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    model = Flat(latent=3, network=network, likelihood=DiscretisedLogistic)(shape)
    x = torch.rand(4, *shape)
    loss = -model(x).likelihood.log_prob(x).mean()
    loss.backward()  # type: ignore[no-untyped-call]
    gradients = [p.grad for p in model.likelihood.parameters()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)
    assert model(x).likelihood.mean.shape == x.shape


@pytest.mark.parametrize(("side", "widths"), [(8, 3), (9, 4), (16, 4), (17, 5), (28, 5), (256, 5)])
def test_deep_convolutions_have_as_many_levels_as_the_sides_allow(side: int, widths: int) -> None:
    given = DeepConv((32, 64, 128, 256, 512)[:widths])
    for shape in ((1, side, side), (3, side, 256), (2, 200, side)):
        assert count(sized(DeepConv(), shape)) == count(sized(given, shape))
    with pytest.raises(UsageError, match="give fewer levels"):
        sized(DeepConv((2,) * (side.bit_length() + 1)), (1, side, side))


@pytest.mark.parametrize("network", [Conv(), ResConv(), DeepConv()], ids=lambda network: type(network).__name__)
def test_convolutions_do_not_grow_with_the_area_of_an_image(network: Network) -> None:
    small, large = (count(sized(network, (3, side, side))) for side in (32, 128))
    assert large < 8 * small  # a network of linear layers has sixteen times as many


NAMES = ["日本語", "Ünïcode straße", "a name of many words " * 5, "oneword" * 15, "$x_1$ <&>", "a"]
TEXT = {"title": "a title " * 12 + "x" * 90, "footer": "run " + "y" * 90}


def greys(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).random(shape).astype(np.float32)


def margins(path: Path) -> np.ndarray:
    """The outermost pixels of a picture, which are paper where nothing is cut off."""
    with Image.open(path) as file:
        picture = np.asarray(file.convert("RGB"))
    assert picture.shape[1] <= 1600
    return np.concatenate([picture[:8].ravel(), picture[-8:].ravel(), picture[:, :8].ravel(), picture[:, -8:].ravel()])


LARGE = [pytest.param(shape, marks=pytest.mark.slow) for shape in ((4, 64, 96), (1, 96, 64), (3, 256, 256))]


@pytest.mark.parametrize("shape", [(3, 8, 64), (2, 64, 8), *LARGE], ids=str)
def test_sheets_of_any_shape_and_with_any_names_fit_on_a_page(shape: tuple[int, ...], tmp_path: Path) -> None:
    names = [style.drawable(name) or "class 1" for name in NAMES]
    values, path = np.linspace(-2.05, 2.05, 11), tmp_path / "sheet.png"
    tiles.reconstructions(path, greys(6, 5, *shape), greys(6, 5, *shape), names, **TEXT)
    assert (margins(path) == 255).all()
    tiles.traversals(path, greys(4, 11, *shape), np.tile(values, (4, 1)), ["z1", "z2", "z3", "z4"], **TEXT)
    assert (margins(path) == 255).all()
    axes = ("z31, at quantiles of the prior", "z32, at quantiles of the prior")
    tiles.latent_space(path, greys(5, 9, *shape), values[:5], values[:9], names=axes, **TEXT)
    assert (margins(path) == 255).all()
    tiles.samples(path, greys(30, *shape), **TEXT)
    assert (margins(path) == 255).all()


@pytest.mark.parametrize("d", [1, 2, pytest.param(3, marks=pytest.mark.slow)])
@pytest.mark.parametrize("names", [NAMES, [f"class {k}" for k in range(300)]], ids=["odd names", "300 classes"])
def test_points_of_any_classes_fit_on_a_page(d: int, names: Sequence[str], tmp_path: Path) -> None:
    names, path = [style.drawable(name) or "class 1" for name in names], tmp_path / "points.png"
    z, labels = np.random.default_rng(0).normal(size=(600, d)), np.arange(600) % len(names)
    scatter.latent_representation(path, z, labels, names, **TEXT)
    assert (margins(path) == 255).all()
    with Image.open(path) as picture:
        assert picture.height <= 2400


def test_a_row_is_as_high_as_its_name(tmp_path: Path) -> None:
    heights = []
    for rows in (5, 10):
        tiles.traversals(
            tmp_path / "rows.png", greys(rows, 2, 3, 8, 64), np.zeros((rows, 2)), ["z1"] * rows, title="", footer=""
        )
        with Image.open(tmp_path / "rows.png") as picture:
            heights.append(picture.height)
    assert heights[1] - heights[0] >= 5 * style.line_height(style.PRINT.text)


def test_names_above_moving_images_stand_apart_or_not_at_all() -> None:
    for width, shown in ((96, True), (64, False)):
        made = animation._grid((20, 96, width), ["a cat", "no cat"] * 10, 580)
        room = style.fit(greys(96, width, 1), *made.cell).shape[1] + animation.GAP
        widths = [style.widest(lines, style.SCREEN.small) for band in made.names for lines in band]
        assert bool(widths) == shown
        assert all(width + 4 <= room for width in widths)


def test_what_the_font_cannot_write_is_a_box_or_has_another_name() -> None:
    assert style.drawable("Größe\n 日1") == "Größe □1"
    assert style.drawable("日本語 日") == style.drawable(" ") == ""
    assert style.shortened("abc", 20, 400) == "abc"
    for text in ("a" * 200, "many short words " * 20):
        short = style.shortened(text, 20, 300)
        assert 250 <= style.text_width(short, 20) <= 300
        assert short.endswith("…")
        assert text.startswith(short[:-1])


def labelled(labels: Sequence[int] | None, classes: int) -> ImageSet:
    """Images of which only the labels of the validation split matter."""
    known = None if labels is None else torch.tensor(labels)
    split = Split(torch.zeros(30 if labels is None else len(labels), 1, 2, 2, dtype=torch.uint8), known)
    return SimpleNamespace(validation=split, classes=tuple(map(str, range(classes))))  # type: ignore[return-value]


def test_images_to_show_come_from_every_class_that_has_some() -> None:
    assert of_each_class(labelled([0, 2, 0, 2, 0], 3), 2) == [[0, 2], [], [1, 3]]
    assert shown_indices(labelled([0, 2, 0, 2, 0], 3)) == [0, 1, 2, 3, 4]
    assert shown_indices(labelled(list(range(1, 300)) * 2, 300)) == list(range(20))
    assert shown_indices(labelled(None, 0)) == list(range(20))
    rows = in_rows(np.zeros((3, 1, 2, 2), np.float32), [1, 2])
    assert rows[:, :, 0, 0, 0].tolist() == [[0, 1], [0, 0]]


@given(images=st.integers(1, 2_000_000), values=st.integers(64, 4 * 1024**2))
def test_a_run_of_any_set_has_about_as_many_steps_of_about_as_much_work(images: int, values: int) -> None:
    picked = pick_training(images, values)
    batch, epochs = picked["batch_size"], picked["epochs"]
    steps = epochs * max(1, images // batch)
    assert 1 <= batch <= max(1, images // 3)
    assert batch * values <= max(64 * 3 * 64**2, 8 * values)
    assert epochs == 400 or STEPS <= steps < STEPS + max(1, images // batch)
    assert 10 <= picked["patience"] <= max(10, epochs / 8 + 1)


@pytest.mark.parametrize(
    ("shape", "images", "batch", "epochs"),
    [
        ((1, 28, 28), 48_000, 256, 11),
        ((1, 28, 20), 1_572, 64, 84),
        ((3, 32, 32), 3_200, 64, 40),
        ((3, 64, 64), 1_600, 64, 80),
        ((3, 64, 64), 160, 16, 200),
        ((3, 128, 128), 1_600, 16, 20),
        ((3, 64, 64), 16, 5, 400),
    ],
)
def test_trainings_that_were_tried(shape: tuple[int, ...], images: int, batch: int, epochs: int) -> None:
    picked = pick_training(images, math.prod(shape))
    assert (picked["batch_size"], picked["epochs"]) == (batch, epochs)


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("bits", [8, 16])
def test_images_of_any_depth_are_trained_on_scored_and_drawn(bits: int, channels: int, tmp_path: Path) -> None:
    noise = np.random.default_rng(0)
    dark = noise.beta(1, 6, (60, 1, 1, 1)) * noise.beta(8, 2, (60, 12, 10, channels))
    levels = np.rint(dark * (2**bits - 1)).astype(f"uint{bits}")
    np.savez(tmp_path / "own.npz", x=levels)
    words = [
        "--data",
        str(tmp_path / "own.npz"),
        "--trainer.steps",
        "6",
        "--figures.frames",
        "3",
        "--figures.grid",
        "3",
    ]
    small = ["--figures.samples", "4", "--figures.explorer", "false", "--model.latent", "3", "--trainer.device", "cpu"]
    assert main(["train", *words, *small, "--out", str(tmp_path / "run")]) == 0
    run = Run.load(tmp_path / "run")
    assert run.shape == (channels, 12, 10)
    assert run.config.data.bits == bits
    (test,) = [line for line in read_lines(tmp_path / "run" / "metrics.jsonl") if line["split"] == "test"]
    a_dimension = test["negative_elbo"] / (math.prod(run.shape) * math.log(2))
    assert bits / 3 < a_dimension < bits  # noise of a quarter of the levels needs a bit or two less than all of them
    for path in (tmp_path / "run" / "figures").iterdir():
        with Image.open(path) as picture:
            assert 400 <= picture.width <= 1600
            assert picture.height <= 2700
            assert path.stat().st_size <= 4_000_000
    assert len(list((tmp_path / "run" / "figures").iterdir())) == 10


def test_large_losses_are_written_out(tmp_path: Path) -> None:
    assert [curves.amount(value) for value in (268.43, -9999.5, 12345.6, 1100849.4)] == [
        "268.4", "-9,999.5", "12,346", "1,100,849"
    ]  # fmt: skip
    curve = curves.Curve(np.arange(3), *np.array([[1.3e6, 1.2e6, 1.1e6]] * 3))
    curves.training_curves(tmp_path / "curves.png", curve, curve, **TEXT)
    assert (margins(tmp_path / "curves.png") == 255).all()


@pytest.mark.parametrize(("network", "side", "spoken"), [("MLP", 96, True), ("MLP", 32, False), ("Conv", 96, False)])
def test_a_network_that_is_too_large_for_its_images_is_spoken_of(
    network: str, side: int, spoken: bool, tmp_path: Path
) -> None:
    np.save(tmp_path / "x.npy", np.random.default_rng(0).integers(0, 256, (9, side, side, 3), dtype=np.uint8))
    words, found = expand_data(["--data", str(tmp_path / "x.npy"), "--model.network", network], lambda line: None)
    made = parser()
    assert found is not None
    said = found.in_words(config.build(made, config.parse(made, words)))
    assert len(said) == 3
    assert ("--model.network Conv" in said[2]) == spoken
    assert "\n" not in "".join(said)
