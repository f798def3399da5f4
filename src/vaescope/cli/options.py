"""What the verbs share: parsers whose errors are one line, and reports on standard error."""

import argparse
import sys
from typing import NoReturn

from vaescope.errors import UsageError


class Parser(argparse.ArgumentParser):
    """An argument parser that raises a :class:`UsageError` instead of printing its whole usage."""

    def __init__(self, verb: str, description: str, example: str) -> None:
        super().__init__(
            prog=f"vaescope {verb}",
            description=description,
            epilog=f"example:\n  {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def error(self, message: str) -> NoReturn:
        """Raises."""
        raise UsageError(f"{message}; see {self.prog} --help")


def report(message: str) -> None:
    """Tells in one line what is being done, on standard error, which leaves standard output to results."""
    print(message, file=sys.stderr, flush=True)


def positive(text: str) -> int:
    """A whole number of at least 1, for argparse."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} given, a whole number of at least 1 expected")
    return value


def temperature(text: str) -> float:
    """A number of at least 0, for argparse."""
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} given, a number of at least 0 expected")
    return value
