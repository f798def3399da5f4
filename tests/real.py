"""The real data sets, where a machine has them. Tests that need them are skipped where it does not, and say so."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from vaescope.data.idx import read_idx

PLACES = {
    "fashion-mnist": (Path("data/fashion-mnist"), Path("/usr/share/datasets/fashion-mnist")),
    "mnist": (Path("data/mnist"), Path(__file__).parents[2] / "shared" / "data" / "mnist"),
}


def images(name: str) -> tuple[Tensor, Tensor]:
    """All training and test images of a set as bytes, with shape (60000, 28, 28) and (10000, 28, 28)."""
    for place in PLACES[name]:
        for ending in ("", ".gz"):
            files = [place / f"{part}-images-idx3-ubyte{ending}" for part in ("train", "t10k")]
            if all(file.exists() for file in files):
                train, test = (torch.from_numpy(read_idx(file).copy()) for file in files)
                return train, test
    pytest.skip(f"{name} is not on this machine: get it with `vaescope data fetch {name}`")


def fashion_mnist() -> tuple[Tensor, Tensor]:
    """Fashion-MNIST, or a skip."""
    return images("fashion-mnist")
