"""Separate streams of random numbers from one seed.

Weights, order, noise and pictures must not draw from one another's numbers, or changing one changes all; and they must
not start from the same or neighbouring seeds, or what looks independent is not.
"""

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
