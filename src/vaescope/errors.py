"""The mistakes that vaescope explains in one line.

Every message says what was given, what was expected and what to try. The command line prints it without a
traceback and leaves with the class's exit code; from Python they are ordinary exceptions. Whatever a message quotes,
it is one line of a bearable length that a terminal shows as it is.
"""

import unicodedata

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


def bearable(text: str) -> str:
    """A text as one line, without its middle if it is long; what would steer a terminal is written out."""
    if not text.isprintable():
        text = "".join(" " if c in "\n\r\t\v\f" else c if _shown(c) else written_out(c) for c in text)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 300]} ... {text[-290:]}"


def _shown(character: str) -> bool:
    return character.isprintable() or unicodedata.category(character) == "Zs"  # a space of some width


def written_out(character: str) -> str:
    """A character by its number, and one that Python has put there for a byte that is no text as this byte."""
    code = ord(character)
    code = code - 0xDC00 if 0xDC80 <= code <= 0xDCFF else code
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
