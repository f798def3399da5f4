"""A set of images that comes in pieces - arrays, tables, splits - each with its labels, or without."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vaescope.data.items import Content, Item, Part, Source
from vaescope.data.own.labels import WITHOUT, Given, alone, number
from vaescope.data.own.parts import meant
from vaescope.data.own.remembered import digests, hasher
from vaescope.errors import UsageError
from vaescope.terminal import printable


@dataclass(frozen=True, eq=False)
class Piece:
    """Images that lie together.

    Args:
        name: What to call them in an error.
        named: The split that they are named after.
        count: Their number N.
        contents: Goes through them in their order.
        digest: Finds a hash of all their contents.
        labels: What the user says of their classes, one for each.
    """

    name: str
    named: Part | None
    count: int
    contents: Callable[[], Iterator[Content]]
    digest: Callable[[], str]
    labels: Given | None = None


class Pieces(Source):
    """The images of all pieces, one piece after the other, each called by its number in its split.

    Args:
        title: What figures and reports call them.
        pieces: The pieces, those of one split next to each other.
        where: What to call the whole in an error.
        classes: The names of the classes, if labels are their numbers.
        names: What to call each image, instead of its number.
        ignored: What lies there too but is no image.

    Raises:
        UsageError: If labels or names are not one for each image, or for labels that are none.
    """

    def __init__(
        self,
        title: str,
        pieces: Sequence[Piece],
        where: object,
        classes: Sequence[str] = (),
        names: Sequence[str] | None = None,
        ignored: Sequence[str] = (),
    ) -> None:
        for piece in pieces:
            _check_length(piece.count, piece.labels, f"labels; {WITHOUT}", piece.name)
        _check_length(sum(piece.count for piece in pieces), names, "names", where)
        if not any(piece.count for piece in pieces):
            raise UsageError(f"{where} holds no images: 0 rows")
        found, self._labels = number([piece.labels for piece in pieces], where, classes)
        found = tuple(map(printable, found))
        self.alone = alone(found, self._labels)
        parts = meant({k: piece.named for k, piece in enumerate(pieces) if piece.count}, where)
        self._parts = [parts.get(k) for k in range(len(pieces))]
        self._pieces, self._names, self.ignored = tuple(pieces), names, tuple(map(printable, ignored))
        super().__init__(printable(title), found, frozenset(part for part in self._parts if part))

    def __len__(self) -> int:
        return sum(piece.count for piece in self._pieces)

    def items(self) -> Iterator[Item]:
        """All images. Those in arrays have shape (H, W, C) and may be views of what must not be written to."""
        names = iter(self._names) if self._names is not None else self._numbers()
        for piece, labels, part in zip(self._pieces, self._labels, self._parts, strict=True):
            known = iter([None] * piece.count if labels is None else labels.tolist())
            for content in piece.contents():
                label = next(known)
                yield Item(next(names), content, None if label == -1 else label, part)

    def fingerprint(self) -> str:
        """A hash of contents, names, classes and splits. Files that have not changed are not read again."""
        names = None if self._names is None else list(self._names)
        total = hasher(repr((self.classes, names)).encode())
        for piece, labels, part in zip(self._pieces, self._labels, self._parts, strict=True):
            total.update(repr((part, piece.count, piece.digest())).encode())
            total.update(b"" if labels is None else labels.tobytes())
        return total.hexdigest()

    def _numbers(self) -> Iterator[str]:
        seen: dict[Part | None, int] = {}
        for piece, part in zip(self._pieces, self._parts, strict=True):
            start = seen.get(part, 0)
            seen[part] = start + piece.count
            yield from (str(k) if part is None else f"{part}/{k}" for k in range(start, seen[part]))


def digest_files(contents: Iterator[Content], place: Path) -> str:
    """The hash of pictures that are bytes or paths.

    Args:
        contents: The pictures.
        place: The folder that the paths belong to, more or less: what is known of them is kept by its name.
    """
    total, paths = hasher(), list[Path]()
    for content in contents:
        if isinstance(content, Path):
            paths.append(content)
        else:
            total.update(hasher(bytes(content)).digest())
    known = digests(place, {str(path): path for path in paths}) if paths else {}
    for path in paths:
        total.update(known[str(path)].encode())
    return total.hexdigest()


def _check_length(count: int, given: Given | Sequence[str] | None, what: str, where: object) -> None:
    if given is not None and len(given) != count:
        kind, _, hint = what.partition("; ")
        raise UsageError(
            f"{where}: {len(given):,} {kind} for {count:,} images: expected one for each{hint and '; ' + hint}"
        )
