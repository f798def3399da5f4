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

RELEASE = 32 << 20
"""So many bytes are read between two times that pages are given back."""

CHUNK = 1024
"""Images at a time, where a whole split is gone through."""


class Mapped:
    """The rows of a ``.npy`` file, for any number of threads. Indexing reads them into memory.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._array: np.memmap = np.load(path, mmap_mode="r", allow_pickle=False)
        self._read, self._lock = 0, threading.Lock()

    def __len__(self) -> int:
        return len(self._array)

    @property
    def shape(self) -> torch.Size:
        """The shape of all rows together, (N, *event)."""
        return torch.Size(self._array.shape)

    @property
    def bits(self) -> int:
        """The bits of a value."""
        return 8 * self._array.itemsize

    @property
    def nbytes(self) -> int:
        """The bytes of all rows."""
        return int(self._array.nbytes)

    def __getitem__(self, index: slice | Sequence[int] | Tensor) -> Tensor:
        if isinstance(index, slice):
            rows = np.array(self._array[index])
        else:
            places = np.asarray(index, np.int64)
            order = places.argsort(kind="stable")  # from front to back, which disks like
            rows = np.empty((len(places), *self._array.shape[1:]), self._array.dtype)
            rows[order] = self._array[places[order]]
        self._release(rows.nbytes)
        return torch.from_numpy(rows)

    def _release(self, read: int) -> None:
        with self._lock:
            self._read += read
            due = self._read > RELEASE
            self._read = 0 if due else self._read
        if due and hasattr(mmap, "MADV_DONTNEED"):
            self._array._mmap.madvise(mmap.MADV_DONTNEED)  # type: ignore[attr-defined]


Rows = Tensor | Mapped
"""Images with shape (N, C, H, W), in memory or on disk."""


def chunks(rows: Rows, size: int = CHUNK) -> Iterator[Tensor]:
    """All rows, in their order, at most ``size`` at a time."""
    return (rows[start : start + size] for start in range(0, len(rows), size))


def in_memory(rows: Rows, device: torch.device) -> Tensor:
    """All rows on a device."""
    return (rows if isinstance(rows, Tensor) else rows[:]).to(device)
