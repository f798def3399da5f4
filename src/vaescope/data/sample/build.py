"""Makes the sample from the full set: ``python -m vaescope.data.sample.build DIR``, with the four idx files in DIR.

The first 24 training and the first 6 test images of every class, in turn over the classes, so that each class has
20 images in the training part, 4 in the validation part and 6 in the test part.
"""

import gzip
import sys
from pathlib import Path

import numpy as np

from vaescope.data.fetch import locate
from vaescope.data.idx import Array, format_idx, read_idx
from vaescope.data.sources import FILE_NAMES
from vaescope.errors import UsageError

PER_CLASS = {"train": 24, "test": 6}


def pick(labels: Array, count: int) -> Array:
    """The indices of the first ``count`` images of every class: the first of each class, the second of each, ..."""
    firsts = [np.flatnonzero(labels == label)[:count] for label in np.unique(labels)]
    return np.stack(firsts, axis=1).flatten()


def build(full: Path) -> dict[str, bytes]:
    """The decompressed files of the sample, by role, from the full set in the folder ``full``."""
    arrays = {role: read_idx(_here(full, name)) for role, name in FILE_NAMES.items()}
    chosen = {part: pick(arrays[f"{part}_labels"], count) for part, count in PER_CLASS.items()}
    return {role: format_idx(array[chosen[role.split("_")[0]]]) for role, array in arrays.items()}


def _here(folder: Path, name: str) -> Path:
    path = locate(folder, name)
    if path is None:
        raise UsageError(f"{folder} holds no {name} (or .gz): give the folder with the four files of the full set")
    return path


def main(full: Path, target: Path) -> None:
    """Writes the four gzipped files of the sample to ``target``."""
    for role, data in build(full).items():
        (target / f"{FILE_NAMES[role]}.gz").write_bytes(gzip.compress(data, mtime=0))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(__file__).parent)
