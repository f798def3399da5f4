"""What is told on a terminal: whatever a name holds, it cannot steer it.

The names of files, classes and runs come from anywhere, and a terminal takes some characters for orders: to colour, to
erase what was there, to set its title, or to write from right to left. These are written out, as ``\\x1b``.
"""

import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters of control, breaks of lines, changes of the direction of writing, and bytes that are no text."""

BUT_LINES = re.compile(f"(?![\n\t]){UNPRINTABLE.pattern}")
"""The same but for what text of many lines is made of."""


def printable(name: str) -> str:
    """A name in which bytes that are no text, and characters that would steer a terminal, are written out."""
    return UNPRINTABLE.sub(_written_out, name)


def legible(text: str) -> str:
    """Text of one line or many with all but its breaks of lines and tabs written out so."""
    return BUT_LINES.sub(_written_out, text)


def as_json(value: object) -> str:
    """A value as JSON for people and programs: letters as they are, and as JSON writes them those that would steer."""
    text = json.dumps(value, ensure_ascii=False, indent=1)
    return BUT_LINES.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def say(result: object) -> None:
    """Prints what was asked for on standard output."""
    print(legible(str(result)))


def tell(message: str) -> None:
    """Tells what is being done on standard error, which leaves standard output to results."""
    with unheard(sys.stderr):
        print(legible(message), file=sys.stderr, flush=True)


@contextmanager
def unheard(*streams: TextIO) -> Iterator[None]:
    """Work that goes on if nobody listens any more, because a terminal was closed or a pipe has no reader: from then on
    these streams lead nowhere."""
    try:
        yield
    except OSError:
        for stream in streams:
            silence(stream)


def silence(stream: TextIO) -> None:
    """Lets all that is written to a stream from now on, and what it still holds, lead nowhere."""
    with suppress(OSError, ValueError), Path(os.devnull).open("wb") as nowhere:  # some streams are no files
        os.dup2(nowhere.fileno(), stream.fileno())


def _written_out(found: re.Match[str]) -> str:
    code = ord(found[0])
    byte = code - 0xDC00 if 0xDC80 <= code <= 0xDCFF else code  # which Python has put there for a byte
    return f"\\x{byte:02x}" if byte < 256 else f"\\u{byte:04x}"
