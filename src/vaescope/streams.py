"""Separate streams of random numbers from one seed.

Weights, order, noise and pictures must not draw from one another's numbers, or changing one changes all; and they must
not start from the same or neighbouring seeds, or what looks independent is not. What is said of one image must not
depend on the others that are asked about: there each image brings random numbers of its own.
"""

import hashlib
from collections.abc import Iterable

import numpy as np


def stream(seed: int, use: str, *counters: int) -> int:
    """The seed of one stream: well mixed, and another for every use and counter.

    Args:
        seed: The seed of the run, from 0 to 2**63 - 1.
        use: What the numbers are for.
        counters: Which of several streams for that use, such as the number of an epoch.

    Returns:
        A number from 0 to 2**63 - 1.
    """
    mixed = np.random.SeedSequence([seed, len(counters), *counters], spawn_key=tuple(use.encode()))
    return int(mixed.generate_state(1, np.uint64)[0] >> 1)


def uniforms(rows: Iterable[np.ndarray], count: int, use: str, *counters: int) -> np.ndarray:
    """Random numbers that belong to each row of values: a hash of them, so that order and neighbours do not matter.

    Equal rows have equal numbers; those of rows that differ, however little, are independent.

    Args:
        rows: Arrays, such as N images.
        count: How many numbers each row gets.
        use: What the numbers are for.
        counters: Which of several sets for that use.

    Returns:
        Numbers between 0 and 1, both excluded, with shape (N, count), as float64.
    """
    salt = f"{use} {counters} ".encode()
    digests = (hashlib.blake2b(row.tobytes(), digest_size=32).digest() for row in rows)
    words = b"".join(hashlib.shake_128(salt + digest).digest(8 * count) for digest in digests)
    return ((np.frombuffer(words, "<u8") >> 12) + 0.5).reshape(-1, count) * 2.0**-52
