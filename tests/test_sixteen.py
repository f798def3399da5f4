"""Images of 16 bits, from the file to bits per dimension."""

import math
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from data_helpers import refused
from PIL import Image

from vaescope.cli import main
from vaescope.config import Config
from vaescope.data.dataset import OWN, ImageData
from vaescope.data.images import ImageSet
from vaescope.data.own import open_source
from vaescope.data.survey import survey
from vaescope.data.targets import TARGETS, Binary, Centred, Grey, binarise, irreducible_entropy
from vaescope.distributions import DiscretisedLogistic
from vaescope.experiment import begin
from vaescope.families import DiscretisedLogistic as Likelihood
from vaescope.families import OptimalGaussian
from vaescope.metrics import bits_per_dim, negative_elbo
from vaescope.models import Flat
from vaescope.nets import MLP
from vaescope.picks import pick
from vaescope.training import Trainer

RANDOM = np.random.default_rng(0)
NOISE = RANDOM.integers(0, 65536, (60, 8, 8), dtype=np.uint16)
EIGHT = RANDOM.integers(0, 256, (60, 8, 8), dtype=np.uint8)
QUICK = ["--trainer.steps", "2", "--figures.frames", "0", "--figures.explorer", "false", "--trainer.device", "cpu"]


@pytest.fixture(params=["folder", "array"])
def sixteen(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Images of 16-bit noise, as PNG files or as an array."""
    if request.param == "array":
        np.save(tmp_path / "noise.npy", NOISE)
        return tmp_path / "noise.npy"
    (tmp_path / "noise").mkdir()
    for i, image in enumerate(NOISE):
        Image.fromarray(image).save(tmp_path / "noise" / f"{i:02}.png")
    return tmp_path / "noise"


def test_sixteen_bits_are_picked(sixteen: Path) -> None:
    picked = pick(survey(open_source(sixteen)))
    assert picked.data["bits"] == 16
    assert picked.data["targets"] == "grey"
    assert picked.rest["model.likelihood"] == {"class_path": "DiscretisedLogistic", "init_args": {"bits": 16}}


def test_every_level_is_kept(sixteen: Path) -> None:
    images = ImageData(OWN, sixteen, "grey", bits=16).load()
    assert images.bits == 16
    found = np.concatenate([split.images[:].numpy() for split in images.splits.values()])
    assert sorted(row.tobytes() for row in found[:, 0]) == sorted(row.tobytes() for row in NOISE)


def start(path: Path, bits: Literal[8, 16]) -> tuple[float, ImageSet]:
    """What a model scores before its first step, in bits per dimension."""
    data = ImageData(OWN, path, "grey", bits=bits)
    settings = Config(
        data, Flat(network=MLP(width=8), likelihood=partial(Likelihood, bits=bits)), trainer=Trainer(batch_size=8)
    )
    images = data.load()
    model = begin(settings, images, torch.device("cpu")).model
    bound = negative_elbo(model, data.target.alone(images.test.images)).negative_elbo
    assert bound is not None
    found = bits_per_dim(bound, model.likelihood.family, data.target.interval, data.target.levels, images.shape)
    assert found == pytest.approx(bound / (64 * math.log(2)))
    return found, images


def test_noise_of_sixteen_bits_costs_sixteen_bits(sixteen: Path) -> None:
    (many, images), (few, same) = (start(sixteen, bits) for bits in (16, 8))
    assert 16 < many < 21  # a logistic of scale 0.1 around the mean is not quite flat, nor is a network still
    assert many - few == pytest.approx(math.log2(65535 / 255), abs=0.1)  # rounding may cross a tail
    test = images.test.images[:].numpy()
    assert (same.test.images[:].numpy() == np.rint(test / 257)).all()  # they are in the same splits


@pytest.mark.parametrize("bits", [8, 16])
def test_a_flat_logistic_gives_noise_its_bits(bits: int) -> None:
    levels = torch.from_numpy(EIGHT.astype(np.int64) if bits == 8 else NOISE.astype(np.int64))
    x = levels.double() / (2**bits - 1)
    flat = DiscretisedLogistic(torch.full_like(x, 0.5), torch.full_like(x, 0.25), 2**bits)
    nats = -flat.log_prob(x).flatten(1).sum(1).mean().item()
    found = bits_per_dim(nats, Likelihood((1, 8, 8), bits), (0, 1), 2**bits, (1, 8, 8))
    # E of -log2 of the logistic density at a uniform x, plus one bit for each halving of the step
    u = (torch.linspace(0, 1, 100_001, dtype=torch.float64) - 0.5) / 0.25
    density = (u + 2 * torch.nn.functional.softplus(-u) + math.log(0.25)).mean().item()
    expected = density / math.log(2) + math.log2(2**bits - 1)
    assert found == pytest.approx(expected, abs=0.1)  # the tails have some of the mass of the ends
    assert abs(found - bits) < 0.5


def test_a_density_costs_the_step_between_levels() -> None:
    family = OptimalGaussian((1, 8, 8))
    eight, sixteen = (bits_per_dim(100.0, family, (-1, 1), 2**bits, (1, 8, 8)) for bits in (8, 16))
    assert eight is not None
    assert sixteen is not None
    assert sixteen - eight == pytest.approx(math.log2(65535 / 255))


def both(tmp_path: Path) -> tuple[ImageSet, ImageSet]:
    """The same images with 8 bits and with 16."""
    np.save(tmp_path / "x.npy", EIGHT)
    eight, sixteen = (ImageData(OWN, tmp_path / "x.npy", bits=bits).load() for bits in (8, 16))  # type: ignore[arg-type]
    return eight, sixteen


def test_with_twice_the_bits_they_are_the_same_images(tmp_path: Path) -> None:
    eight, sixteen = both(tmp_path)
    for name, split in eight.splits.items():
        more = sixteen.splits[name]
        assert (more.images[:].numpy() == split.images[:].numpy() * np.uint16(257)).all()
        assert (more.greys([0, 1]) == split.greys([0, 1])).all()
        for kind in (Grey, Centred):
            few, many = (kind(bits).alone(held.images).values for bits, held in ((8, split), (16, more)))
            assert torch.allclose(few, many, atol=1e-6)
        assert irreducible_entropy(more.images, 65535) == pytest.approx(irreducible_entropy(split.images), rel=1e-9)


def test_with_twice_the_bits_they_are_binarised_alike(tmp_path: Path) -> None:
    eight, sixteen = both(tmp_path)
    few, many = (
        Binary(bits).evaluation([images.validation.images, images.test.images])
        for bits, images in ((8, eight), (16, sixteen))
    )
    assert all(torch.equal(one.values, other.values) for one, other in zip(few, many, strict=True))
    greys = (torch.from_numpy(array) for array in (EIGHT, EIGHT * np.uint16(257)))
    one, other = (binarise(grey[:, None], torch.Generator().manual_seed(0)) for grey in greys)
    assert torch.equal(one, other)


def test_the_mean_of_binary_draws_is_the_grey() -> None:
    levels = torch.from_numpy(np.array([0, 1, 300, 20_000, 32_768, 65_000, 65_534, 65_535], np.uint16))
    images = levels.view(1, 1, 2, 4).expand(40_000, 1, 2, 4)
    draws = Binary(16).training(images, torch.Generator().manual_seed(0))
    p = levels.double() / 65535
    error = (draws.double().mean(0).flatten() - p).abs()
    assert (error <= 4.5 * (p * (1 - p) / 40_000).sqrt() + 2e-5).all()  # a 16-bit number decides
    assert draws.unique().tolist() == [0, 1]


@pytest.mark.parametrize("name", TARGETS)
def test_pixels_come_back(name: str) -> None:
    target = TARGETS[name](16)  # type: ignore[index]
    values = target.training(torch.from_numpy(NOISE[:, None]), torch.Generator().manual_seed(0))
    assert values.min() >= target.interval[0]
    assert values.max() <= target.interval[1]
    if not target.discrete:
        assert (target.pixels(values) * 65535).round().int().equal(torch.from_numpy(NOISE[:, None].astype(np.int32)))


def test_sets_of_eight_bits_stay_so() -> None:
    assert "data.bits is 16, but" in refused(ImageData("sample", targets="grey", bits=16).load)


def test_likelihood_and_images_must_have_the_same_bits(
    sixteen: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--model.likelihood", '{"class_path": "DiscretisedLogistic", "init_args": {"bits": 8}}']
    assert main(["train", "--data", str(sixteen), "--out", str(tmp_path / "run"), *QUICK, *words]) == 2
    assert "set model.likelihood.bits to 16" in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "run").exists()
