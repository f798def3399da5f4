"""What the settings of objectives and schedules may be, refused in one line where they are not."""

import math

from vaescope.errors import UsageError


def check_shares(owner: str, **shares: float) -> None:
    """Refuses what is no share, by its key.

    Args:
        owner: The name of the class that the keys belong to.
        shares: The values by their keys.

    Raises:
        UsageError: For a value that is not between 0 and 1.
    """
    for name, share in shares.items():
        if not 0 <= share <= 1:
            raise UsageError(f"{owner} got {name} {share}: give a share between 0 and 1, such as 0.2")


def check_amounts(owner: str, **amounts: float) -> None:
    """Refuses what is no weight and no amount, by its key.

    Args:
        owner: The name of the class that the keys belong to.
        amounts: The values by their keys.

    Raises:
        UsageError: For a value that is negative, infinite or not a number.
    """
    for name, amount in amounts.items():
        if not 0 <= amount < math.inf:
            raise UsageError(f"{owner} got {name} {amount}: give a number of at least 0")


def check_counts(owner: str, **counts: int) -> None:
    """Refuses what is no count, by its key.

    Args:
        owner: The name of the class that the keys belong to.
        counts: The values by their keys.

    Raises:
        UsageError: For a value that is not a whole number of at least 1.
    """
    for name, count in counts.items():
        if not (isinstance(count, int) and count >= 1):
            raise UsageError(f"{owner} got {name} {count}: give a whole number of at least 1")
