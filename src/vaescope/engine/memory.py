"""Memory that was freed stays with the process, so that the next step need not ask the system for it again.

glibc maps every block above some size anew and gives it back when it is freed, and it trims what is free at the top of
its heap. The system clears each page that it hands out, which for the activations of a step takes as long as computing
them. The price is that the process stays as large as it was at its largest.
"""

import ctypes
import functools
import sys

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""``M_TRIM_THRESHOLD`` and ``M_MMAP_THRESHOLD`` of ``<malloc.h>``."""

LARGEST = (1 << 30, 1 << 25)
"""Blocks above this many bytes are mapped anew all the same. The second is the most that older C libraries take."""


@functools.cache
def keep_freed() -> bool:
    """Sets the thresholds for the whole process. Returns whether the C library took them; only glibc does."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:
        return False
    return any(mallopt(MMAP_THRESHOLD, size) for size in LARGEST) and bool(mallopt(TRIM_THRESHOLD, 2**31 - 1))
