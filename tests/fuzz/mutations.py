"""What is done to a valid file to make a hostile one: structured damage, decided by whole numbers that someone picks.

Who picks is a random generator, hypothesis or a coverage-guided fuzzer, so that all of them do the same kinds of damage
and hypothesis can make it small again.
"""

import re
from collections.abc import Callable, Sequence

Pick = Callable[[int, int], int]
"""Picks a whole number between two, both included."""

EDGES = (
    0,
    1,
    2,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0x8000,
    0xFFFF,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
    1 << 40,
    (1 << 63) - 1,
    1 << 63,
    (1 << 64) - 1,
)
"""Numbers at which readers of headers go wrong."""

NUMBERS = (
    b"0",
    b"-1",
    b"1.5",
    b"1e999",
    b"-1e999",
    b"NaN",
    b"Infinity",
    b"99999999999999999999",
    b"1000000000",
    b"null",
    b'"x"',
    b"[]",
    b"{}",
    b"true",
    b"[1]",
    b"1" * 5000,
)
"""What is put in the place of a number that is written out."""

WORDS = (
    b"",
    b"\0",
    b"\x1b[2J",
    b"\xff\xfe",
    "\u202e".encode(),
    b"../../../../tmp/out",
    b"/etc/passwd",
    b"<script>",
    b"a" * 3000,
    b"os.system",
    b"subprocess.Popen",
    b"torch.optim.../../x",
    b"torch.load",
    b"builtins.eval",
    b"tests.fuzz",
    b"__class__",
    b"!!python/object/apply:os.system [id]",
    b"!!python/name:os.system",
    b"class_path",
    b"init_args",
    b"vaescope.nets.MLP",
    b"[" * 3000,
    b'{"a":' * 3000,
    b"- " * 3000,
    b"&a [*a, *a]",
    b"<<: *a",
    b"1:2:3",
    b"=",
    b"~",
    b"2001-01-01",
    b"0o7",
    b"\n",
    b"\r",
)
"""What is put in the place of a word, or anywhere."""

WRITTEN_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
WRITTEN_WORD = re.compile(rb"[A-Za-z_][\w.]+")


def damaged(data: bytes, others: Sequence[bytes], pick: Pick, most: int = 4) -> bytes:
    """A file with one to ``most`` pieces of damage.

    Args:
        data: The file.
        others: Other valid files, of which parts may be put in.
        pick: Decides.
        most: The most pieces of damage.
    """
    for _ in range(pick(1, most)):
        data = DAMAGES[pick(0, len(DAMAGES) - 1)](data, others, pick)
    return data


def flip(data: bytes, others: Sequence[bytes], pick: Pick) -> bytes:
    """One bit is another."""
    if not data:
        return data
    place = pick(0, len(data) - 1)
    return data[:place] + bytes([data[place] ^ 1 << pick(0, 7)]) + data[place + 1 :]


def cut(data: bytes, others: Sequence[bytes], pick: Pick) -> bytes:
    """The end is missing."""
    return data[: pick(0, len(data))]


def leave_out(data: bytes, others: Sequence[bytes], pick: Pick) -> bytes:
    """A part is missing."""
    start = pick(0, len(data))
    return data[:start] + data[start + pick(0, 64) :]


def repeat(data: bytes, others: Sequence[bytes], pick: Pick) -> bytes:
    """A part stands there many times."""
    start = pick(0, len(data))
    end = start + pick(1, 64)
    return data[:start] + data[start:end] * pick(2, 40) + data[end:]


def splice(data: bytes, others: Sequence[bytes], pick: Pick) -> bytes:
    """It goes on as another file does."""
    other = others[pick(0, len(others) - 1)] if others else data
    return data[: pick(0, len(data))] + other[pick(0, len(other)) :]


def field(data: bytes, others: Sequence[bytes], pick: Pick) -> bytes:
    """A number in the header, or anywhere, is one at which readers go wrong."""
    width, near = 1 << pick(0, 3), min(len(data), 64 if pick(0, 1) else len(data))
    value = EDGES[pick(0, len(EDGES) - 1)] % (1 << 8 * width)
    place = pick(0, max(0, near - width))
    return data[:place] + value.to_bytes(width, "little" if pick(0, 1) else "big") + data[place + width :]


def number(data: bytes, others: Sequence[bytes], pick: Pick) -> bytes:
    """A number that is written out is another, or none."""
    return _another(WRITTEN_NUMBER, NUMBERS, data, pick)


def word(data: bytes, others: Sequence[bytes], pick: Pick) -> bytes:
    """A word is another."""
    return _another(WRITTEN_WORD, WORDS, data, pick)


def insert(data: bytes, others: Sequence[bytes], pick: Pick) -> bytes:
    """Something stands there that does not belong."""
    place = pick(0, len(data))
    return data[:place] + WORDS[pick(0, len(WORDS) - 1)] + data[place:]


def swap(data: bytes, others: Sequence[bytes], pick: Pick) -> bytes:
    """A word stands where another one did, as keys do that are given twice."""
    found = [match[0] for match in WRITTEN_WORD.finditer(data)]
    return _another(WRITTEN_WORD, found, data, pick) if found else data


DAMAGES = (flip, cut, leave_out, repeat, splice, field, number, word, insert, swap)


def _another(pattern: re.Pattern[bytes], values: Sequence[bytes], data: bytes, pick: Pick) -> bytes:
    places = [match.span() for match in pattern.finditer(data)]
    if not places:
        return data
    start, end = places[pick(0, len(places) - 1)]
    return data[:start] + values[pick(0, len(values) - 1)] + data[end:]
