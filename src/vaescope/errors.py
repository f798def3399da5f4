"""The mistakes that vaescope explains in one line.

Every message says what was given, what was expected and what to try. The command line prints it without a
traceback and leaves with the class's exit code; from Python they are ordinary exceptions. Whatever a message quotes,
it is one line of a bearable length that a terminal shows as it is.
"""

import re

from vaescope.terminal import printable

LONGEST = 1000
"""Characters of a message, at most."""


class UsageError(ValueError):
    """The user asked for something that cannot be done: a wrong key, file or value. Exit code 2."""

    exit_code = 2

    def __init__(self, message: str) -> None:
        super().__init__(bearable(message))


class RunError(RuntimeError):
    """A run that was asked for correctly failed: divergence, a full disk. Exit code 1."""

    exit_code = 1

    def __init__(self, message: str) -> None:
        super().__init__(bearable(message))


def one_line(error: BaseException | str, most: int = 300) -> str:
    """What an error says, in one line of a bearable length.

    Args:
        error: The error, or what it says.
        most: Characters of it, at most.
    """
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= most else text[:most] + " ..."


def bearable(text: str) -> str:
    """A text as one line, without its middle if it is long; what would steer a terminal is written out."""
    text = printable(re.sub("[\n\r\t\v\f]", " ", text))
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 300]} ... {text[-290:]}"
