"""What the verbs share: parsers whose errors are one line, and reports on standard error."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn, TypeVar

from vaescope.errors import UsageError
from vaescope.terminal import tell

N = TypeVar("N", int, float)

report = tell
"""Tells what is being done, as every verb does."""


class Parser(argparse.ArgumentParser):
    """An argument parser that raises a :class:`UsageError` instead of printing its whole usage."""

    def __init__(self, description: str, example: str, prog: str) -> None:
        super().__init__(
            prog=prog,
            description=description,
            epilog=f"example:\n  {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def error(self, message: str) -> NoReturn:
        """Raises."""
        raise UsageError(f"{message}; see {self.prog} --help")


def positive(text: str) -> int:
    """A whole number from 1 to a million, for argparse."""
    return _within(int(text), 1, 1_000_000)


def seed(text: str) -> int:
    """A seed of random numbers, for argparse."""
    return _within(int(text), 0, 2**63 - 1)


def temperature(text: str) -> float:
    """A number from 0 to 100, for argparse."""
    return _within(float(text), 0, 100)


def _within(value: N, least: N, most: N) -> N:
    if not least <= value <= most:
        raise argparse.ArgumentTypeError(f"{value} given, a number from {least:,} to {most:,} expected")
    return value


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns what stands in the way of writing ``path`` into one line."""
    try:
        yield
    except OSError as error:
        raise UsageError(f"{path} cannot be written ({error.strerror}): give another -o") from None


def output(path: Path, endings: tuple[str, ...]) -> Path:
    """A path to write to, whose ending says the format.

    Raises:
        UsageError: For another ending.
    """
    if path.suffix not in endings:
        raise UsageError(f"{path} cannot be written: its ending must be {' or '.join(endings)}")
    return path
