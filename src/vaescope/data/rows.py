"""Images on disk: rows of an array file that are read when they are asked for, so that a set may be larger than memory.

The file is mapped, which costs nothing until a row is read. Pages that were read are given back to the system every
now and then: they stay in its cache while nobody else needs the memory, but do not count as this process's own.
"""

import mmap
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vaescope.foreign import explained

RELEASE = 32 << 20
"""So many bytes are mapped between two times that pages are given back."""

AROUND = 64 << 10
"""So many bytes Linux maps around one that is read, if it has them in its cache."""

CHUNK, CHUNK_BYTES = 1024, 16 << 20
"""Images at a time, where a whole split is gone through, and bytes, unless a single image has more."""


class Mapped:
    """The rows of a ``.npy`` file, for any number of threads. Indexing, as of a tensor, reads them into memory.

    Args:
        path: The file.
        kept: The numbers of the rows that there are, increasing; by default all.
    """

    def __init__(self, path: Path, kept: np.ndarray | None = None) -> None:
        self.path, self.kept = path, kept
        with explained(f"{path} is a damaged array file", "delete its folder to decode anew"):
            self._array: np.memmap = np.load(path, mmap_mode="r", allow_pickle=False)
        self._read, self._lock = 0, threading.Lock()

    def __len__(self) -> int:
        return len(self._array if self.kept is None else self.kept)

    @property
    def shape(self) -> torch.Size:
        """The shape of all rows together, (N, *event)."""
        return torch.Size((len(self), *self._array.shape[1:]))

    @property
    def bits(self) -> int:
        """The bits of a value."""
        return 8 * self._array.itemsize

    @property
    def nbytes(self) -> int:
        """The bytes of all rows."""
        return len(self) * int(self._array[:1].nbytes)

    def some(self, places: Tensor) -> "Mapped":
        """The rows at some places, which increase. None is read."""
        return Mapped(self.path, places.numpy() if self.kept is None else self.kept[places.numpy()])

    def __getitem__(self, index: slice | Sequence[int] | Tensor) -> Tensor:
        if isinstance(index, slice):
            rows = np.array(self._array[index if self.kept is None else self.kept[index]])
            self._release(rows.nbytes)
        else:
            places = self._places(index)
            order = places.argsort(kind="stable")  # from front to back, which disks like
            rows = np.empty((len(places), *self._array.shape[1:]), self._array.dtype)
            rows[order] = self._array[places[order] if self.kept is None else self.kept[places[order]]]
            self._release(rows.nbytes + AROUND * len(rows))
        return torch.from_numpy(rows)

    def _places(self, index: Sequence[int] | Tensor) -> np.ndarray:
        """The numbers of the rows; those of a mask are the ones where it is true."""
        places = index.numpy(force=True) if isinstance(index, Tensor) else np.array(index)
        if places.dtype == bool and places.shape == (len(self),):
            return np.flatnonzero(places)
        if places.ndim != 1 or (len(places) and places.dtype.kind not in "iu"):
            raise IndexError(f"{len(self)} rows got an index of {places.dtype} with shape {places.shape}")
        return places.astype(np.int64)

    def _release(self, mapped: int) -> None:
        with self._lock:
            self._read += mapped
            due = self._read > RELEASE
            self._read = 0 if due else self._read
        if due and hasattr(mmap, "MADV_DONTNEED"):
            self._array._mmap.madvise(mmap.MADV_DONTNEED)  # type: ignore[attr-defined]


Rows = Tensor | Mapped
"""Images with shape (N, C, H, W), in memory or on disk."""


def chunks(rows: Rows) -> Iterator[Tensor]:
    """All rows, in their order, as many at a time as fit into little memory."""
    size = max(1, min(CHUNK, CHUNK_BYTES * len(rows) // max(1, rows.nbytes)))
    return (rows[start : start + size] for start in range(0, len(rows), size))


def in_memory(rows: Rows, device: torch.device) -> Tensor:
    """All rows on a device."""
    if isinstance(rows, Tensor):
        return rows.to(device)
    whole = torch.empty(rows.shape, dtype=rows[:0].dtype, device=device)
    start = 0
    for part in chunks(rows):
        whole[start : start + len(part)] = part.to(device)
        start += len(part)
    return whole
