"""What the tests share: small real images, tiny models, and one trained run."""

import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from vaescope.checkpoint import load_tensors
from vaescope.cli import main
from vaescope.data.images import ImageSet, load
from vaescope.engine.precision import machine
from vaescope.explorer import explorer_html
from vaescope.models import VAE, Flat
from vaescope.nets import MLP
from vaescope.run import Run

settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")  # how fast one happens to be is no law

TINY = [
    "--data", "sample", "--trainer.batch_size", "20", "--trainer.device", "cpu", "--model.network.width", "32",
    "--figures.frames", "6", "--figures.grid", "6", "--figures.samples", "9", "--figures.explorer", "false",
]  # fmt: skip
"""Arguments of a run that takes about a second."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Spreads tests over workers one by one, but for those of a file that share what it makes once, such as a run or a
    browser: else every worker makes its own.

    The same as ``--dist loadgroup``, which pytest-xdist 3.8.0 forgets with pytest 9.2:
    https://github.com/pytest-dev/pytest-xdist/issues/1386
    """
    from xdist.scheduler import LoadScopeScheduling

    class Together(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            if nodeid.startswith(LOOK):
                return "explorer"
            file = nodeid.partition("::")[0]
            return file if shares(config.rootpath / file) else nodeid

    return Together(config, log)


LOOK = ("tests/test_explorer.py", "tests/test_explorer_page.py", "tests/test_explorer_engines.py")
"""Files of tests that look at the same pages."""


@cache
def shares(file: Path) -> bool:
    """Whether tests of a file share what it makes once."""
    return 'scope="module"' in file.read_text(encoding="utf-8")


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What the tests decode is not kept, and they multiply in float32 whatever this machine is fastest with."""
    folder = tmp_path_factory.mktemp("cache")
    (folder / "precision.json").write_text(json.dumps({machine(): {"linear": 1.0, "convolution": 1.0}}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VAESCOPE_CACHE", str(folder))
        yield


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs without pictures, for tests that look at none: they take most of the time of a short run."""
    monkeypatch.setattr("vaescope.pictures.draw", lambda scene, folder, curves, frames: [])


@pytest.fixture
def untraced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Explorers without the programs of their models, for tests that run none: torch takes seconds to trace them."""
    monkeypatch.setattr("vaescope.explorer.page.programs", lambda run, images: {})


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


@pytest.fixture(scope="session")
def colour_folder(tmp_path_factory: pytest.TempPathFactory, images: ImageSet) -> Path:
    """A run of a conditional, convolutional model with eight latents, on colour images of 20x16 pixels."""
    folder = tmp_path_factory.mktemp("colour")
    parts = {"train": images.train, "val": images.validation, "test": images.test}
    arrays = {}
    for name, part in parts.items():
        labels = part.labels.numpy()  # type: ignore[union-attr]
        tints = np.stack([1 - labels / 12, 0.4 + labels / 20, labels / 10], 1)[:, None, None]  # (N, 1, 1, 3)
        arrays[f"x_{name}"] = (part.images[:, 0, 4:24, 6:22].numpy()[..., None] * tints).astype(np.uint8)
        arrays[f"y_{name}"] = labels
    np.savez(folder / "tinted.npz", **arrays)
    run = folder / "run"
    words = ["--model.network", "Conv", "--model.network.channels", "8", "--model.network.hidden", "16"]
    words += ["--model.latent", "8", "--model.labels", "true", "--trainer.epochs", "2", "--trainer.batch_size", "20"]
    words += ["--figures.frames", "3", "--figures.grid", "4", "--figures.samples", "9", "--trainer.device", "cpu"]
    words += ["--figures.explorer", "false"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vaescope.pictures.draw", lambda scene, folder, curves, frames: [])  # nobody looks at them
        assert main(["train", "--data", str(folder / "tinted.npz"), *words, "--out", str(run)]) == 0
    return run


@pytest.fixture(scope="session")
def explorer_page(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The explorer of the run on the sample, with two latents."""
    return written(run_folder, tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="session")
def colour_page(colour_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The explorer of the run on colour images, with eight latents."""
    return written(colour_folder, tmp_path_factory.mktemp("page"))


def written(run: Path, folder: Path) -> Path:
    """Writes the explorer of a run."""
    page = folder / "explorer.html"
    page.write_text(explorer_html(Run.load(run)), encoding="utf-8")
    return page


def retitled(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Changes the header of the weights of a run."""
    path = folder / "model.safetensors"
    with safe_open(path, "pt") as file:
        header = json.loads(file.metadata()["vaescope"])
    change(header)
    header.pop("hash", None)  # older versions wrote none
    save_file(load_tensors(path), path, {"vaescope": json.dumps(header)})
