"""What the tests share: small real images, tiny models, and one trained run."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from vaescope.cli import main
from vaescope.data.images import ImageSet, load
from vaescope.models import VAE, Flat
from vaescope.nets import MLP

TINY = [
    "--data", "sample", "--trainer.batch_size", "20", "--trainer.device", "cpu", "--model.network.width", "32",
    "--figures.frames", "6", "--figures.grid", "6", "--figures.samples", "9", "--figures.explorer", "false",
]  # fmt: skip
"""Arguments of a run that takes about a second."""


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What the tests decode is not kept."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VAESCOPE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def images() -> ImageSet:
    """The 300 real images that come with the package."""
    return load("sample", Path("nowhere"))


@pytest.fixture
def x(images: ImageSet) -> Tensor:
    """Sixteen binarised images, with shape (16, 1, 28, 28)."""
    grey = images.train.images[:16] / 255
    return grey.bernoulli(generator=torch.Generator().manual_seed(0))


@pytest.fixture
def tiny() -> Callable[..., VAE]:
    """Makes a small model of 28x28 images; the same one for the same seed."""

    def make(seed: int = 0, **choices: object) -> VAE:
        torch.manual_seed(seed)
        return Flat(**{"network": MLP(width=16), **choices})((1, 28, 28))  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three epochs on the sample. Tests must leave it as it is."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    assert main(["train", *TINY, "--trainer.epochs", "3", "--out", str(folder)]) == 0
    return folder
