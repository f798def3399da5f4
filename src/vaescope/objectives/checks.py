"""What the settings of objectives and schedules may be, refused in one line where they are not.

Every check takes the object and the names of its settings, and raises a ``UsageError`` for the first that is wrong.
"""

import math
from collections.abc import Callable

from vaescope.errors import UsageError


def check_shares(owner: object, *names: str) -> None:
    """Refuses what is not between 0 and 1."""
    _check(owner, names, lambda value: 0 <= value <= 1, "a share between 0 and 1, such as 0.2")


def check_amounts(owner: object, *names: str) -> None:
    """Refuses weights and amounts that are negative, infinite or not a number."""
    _check(owner, names, lambda value: 0 <= value < math.inf, "a number of at least 0")


def check_positive(owner: object, *names: str) -> None:
    """Refuses sizes and scales that are not above zero, infinite or not a number."""
    _check(owner, names, lambda value: 0 < value < math.inf, "a number above 0")


def check_counts(owner: object, *names: str) -> None:
    """Refuses what is not a whole number of at least 1."""
    _check(owner, names, lambda value: isinstance(value, int) and value >= 1, "a whole number of at least 1")


def _check(owner: object, names: tuple[str, ...], right: Callable[[float], bool], expected: str) -> None:
    for name in names:
        value = getattr(owner, name)
        if not right(value):
            raise UsageError(f"{type(owner).__name__} got {name} {value}: give {expected}")
