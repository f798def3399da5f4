"""The user's own images, decoded once: every split becomes an array file that training maps into memory.

An entry of the cache is a folder whose name is a hash of what the images are and of what was made of them, so that
equal images with equal settings are decoded once, wherever they lie, and changed ones never meet old pixels::

    <cache>/images/<hash>/
      train.npy validation.npy test.npy     levels with shape (N, C, H, W), uint8 or uint16
      train.labels.npy ...                  the labels of each, where there are labels
      train.names validation.names ...      what each image is called, one a line
      entry.json                            title, classes, form, the files that were skipped, and hashes of all

**Splits.** What the user has put into a split stays there. All others are divided by a hash of their content (of the
file, or of the pixels of an array) and the seed of the splits: a number between 0 and 1 below `test` sends an image to
the test images, the next `validation` of the range to validation, the rest to training. So splits are the same on every
machine, adding images moves no others, and two copies of an image are never on two sides. A split that would stay empty
gets the image with the smallest number, and its copies, from the fullest split that is not the user's.
"""

import json
from bisect import insort
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO, get_args

import numpy as np
import torch

from vaescope.data.ahead import ahead
from vaescope.data.fetch import IMAGES, Progress, Report
from vaescope.data.idx import Array
from vaescope.data.images import ImageSet, Split
from vaescope.data.items import Item, Part, Source
from vaescope.data.pixels import Form, decode
from vaescope.data.rows import Mapped
from vaescope.errors import UsageError
from vaescope.files import atomic_folder, cache_folder
from vaescope.foreign import explained, read_array

FORMAT = 1
BLOCK, BLOCKS = 256 << 10, 256
"""Bytes of a block that is hashed, and how many blocks of a file at least; a file that has no more is hashed whole."""

PARTS: tuple[Part, ...] = get_args(Part)


@dataclass(frozen=True)
class Division:
    """How images that the user has not put into a split are divided.

    Args:
        validation: The share for validation.
        test: The share for the test.
        seed: Gives another division.
    """

    validation: float = 0.1
    test: float = 0.1
    seed: int = 0

    def number(self, content: bytes) -> float:
        """The number between 0 and 1 of an image with this content."""
        digest = blake2b(content, digest_size=8, key=self.seed.to_bytes(8, "little")).digest()
        return int.from_bytes(digest, "little") / 2**64

    def part(self, number: float, given: frozenset[Part]) -> Part:
        """The split of an image with this number. A split that the user has made takes no others."""
        test = 0.0 if "test" in given else self.test
        validation = 0.0 if "validation" in given else self.validation
        return "test" if number < test else "validation" if number < test + validation else "train"


@dataclass
class Decoded:
    """What came of the images of a source, in little memory however many they are.

    Args:
        counts: The number of images in each split.
        smallest: For each split the smallest of the numbers of images that the user has not put there, as many
            different ones as there are splits.
        bad: The images that could not be read, and why.
    """

    counts: dict[Part, int] = field(default_factory=lambda: dict.fromkeys(PARTS, 0))
    smallest: dict[Part, list[float]] = field(default_factory=lambda: {part: [] for part in PARTS})
    bad: list[str] = field(default_factory=list)

    def add(self, part: Part, number: float | None) -> None:
        """Counts an image, with its number if it may be put elsewhere."""
        self.counts[part] += 1
        few = self.smallest[part]
        if number is not None and number not in few:
            insort(few, number)
            del few[len(PARTS) :]


def prepared(
    source: Source,
    form: Form,
    division: Division,
    skip_bad: bool,
    cache: Path | None,
    report: Report,
    progress: Progress | None = None,
) -> Path:
    """The cache entry of images, which is made if it is not there.

    Args:
        source: The images.
        form: What they are brought to.
        division: How those are divided that the user has not put into a split.
        skip_bad: Whether files that cannot be read are left out; else they are refused.
        cache: The folder of all entries, by default that of this user.
        report: Is told in one line what is done.
        progress: Is told how many images are decoded.

    Raises:
        UsageError: If images cannot be read, there are fewer than three, or the cache cannot be written to.
    """
    from PIL import __version__ as pillow  # whose scaling may change in the last bit

    settings = {"format": FORMAT, "pillow": pillow, "form": asdict(form), "division": asdict(division)}
    settings |= {"skip_bad": skip_bad}
    key = blake2b(json.dumps([source.fingerprint(), settings]).encode(), digest_size=16).hexdigest()
    entry = (cache or cache_folder()).expanduser() / "images" / key
    if (entry / "entry.json").exists():
        return entry
    if entry.exists():
        raise UsageError(f"{entry} is no whole entry of the cache: delete it to decode anew")
    if len(source) < len(PARTS):
        raise UsageError(
            f"{source.title} holds {source.size}: at least 3 are needed, one each to train, to validate and to test"
        )
    classes = f" in {len(source.learned):,} classes" if source.learned else ""
    report(f"decoding {len(source):,} images{classes} to {form.height}x{form.width}x{form.channels}, once, to {entry}")
    try:
        with atomic_folder(entry) as folder:
            _make(source, form, division, skip_bad, folder, progress)
    except OSError as error:
        if not (entry / "entry.json").exists():  # else another process was quicker
            raise UsageError(
                f"{entry} cannot be written ({error.strerror or error}): set data.cache to a folder with room"
            ) from None
    return entry


def _make(
    source: Source, form: Form, division: Division, skip_bad: bool, folder: Path, progress: Progress | None
) -> None:
    """Fills the folder of an entry."""
    done = _decode_all(source, form, division, {}, folder, progress)
    if done.bad and not skip_bad:
        raise UsageError(_unreadable(source, done.bad))
    if missing := [part for part in PARTS if not done.counts[part]]:
        _decode_all(source, form, division, _borrowed(source, done, missing), folder, progress)
    entry = {"title": source.title, "classes": source.learned, "form": asdict(form), "skipped": done.bad}
    entry["files"] = {path.name: fingerprint(path) for path in sorted(folder.iterdir())}
    (folder / "entry.json").write_text(json.dumps({**entry, "hash": _hash(entry)}, indent=1), encoding="utf-8")


def fingerprint(path: Path) -> str:
    """A hash by which a file is known to be as it was written: of one above 64 MiB, that of blocks at equal distances.

    Args:
        path: The file.
    """
    size = path.stat().st_size
    digest = blake2b(str(size).encode(), digest_size=16)
    with path.open("rb") as file:
        for start in range(0, size, max(BLOCK, size // BLOCKS)):
            file.seek(start)
            digest.update(file.read(BLOCK))
    return digest.hexdigest()


def _hash(facts: Mapping[str, Any]) -> str:
    """A hash of what an entry says of itself."""
    return blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=16).hexdigest()


def _borrowed(source: Source, done: Decoded, missing: Sequence[Part]) -> dict[float, Part]:
    """The numbers of the images that go to splits that would be empty: the smallest of the fullest split."""
    fullest = max(PARTS, key=lambda part: (len(done.smallest[part]), done.counts[part]))
    spare = done.smallest[fullest]
    if len(spare) <= len(missing):
        wanted = [part for part in PARTS if part in missing or done.smallest[part] or part == "train"]
        there = sum(map(len, done.smallest.values()))
        raise UsageError(
            f"{source.title} holds {there} different readable image{'s'[: there != 1]} for "
            f"{', '.join(wanted)}: at least {len(wanted)} are needed, one each"
        )
    return dict(zip(spare, missing, strict=False))


def _decode_all(
    source: Source,
    form: Form,
    division: Division,
    borrowed: Mapping[float, Part],
    folder: Path,
    progress: Progress | None,
) -> Decoded:
    """Decodes every image into the file of its split."""
    done = Decoded()
    with ExitStack() as stack:
        files = {part: stack.enter_context(SplitFile(folder, part, form, bool(source.learned))) for part in PARTS}
        for item, number, pixels in decoded(source, form, division, progress):
            if isinstance(pixels, str):
                done.bad.append(pixels)
                continue
            fixed = item.part if item.part in ("validation", "test") else None
            part = fixed or borrowed.get(number) or division.part(number, source.parts)
            done.add(part, None if fixed else number)
            files[part].add(pixels, item)
    return done


def decoded(
    source: Source, form: Form, division: Division, progress: Progress | None = None
) -> Iterator[tuple[Item, float, Array | str]]:
    """Every image in its order: with its number, and its pixels or why it cannot be read."""

    def work(item: Item) -> tuple[Item, float, Array | str]:
        try:
            content = item.content if isinstance(item.content, np.ndarray) else _bytes(item.content)
            number = division.number(content if isinstance(content, bytes) else content.tobytes())
            return item, number, decode(content, form, item.name)
        except UsageError as error:
            return item, 0.0, str(error)

    for done, result in enumerate(ahead(work, _items(source)), 1):
        yield result
        if progress:
            progress(IMAGES, done, len(source))


def _items(source: Source) -> Iterator[Item]:
    """The images of a source. That it cannot be read is not to be taken for a cache that cannot be written to."""
    try:
        yield from source.items()
    except OSError as error:
        raise UsageError(f"{source.title} cannot be read to its end: {error.strerror or error}") from None


def _bytes(content: Path | bytes) -> bytes:
    """The bytes of a picture."""
    if isinstance(content, bytes):
        return content
    try:
        return content.read_bytes()
    except OSError as error:
        raise UsageError(f"{content} cannot be read: {error.strerror}") from None


def _unreadable(source: Source, bad: Sequence[str]) -> str:
    """What is said of files that cannot be read: the first of them with the reason."""
    return (
        f"{source.title}: {len(bad):,} of {len(source):,} images cannot be used (vaescope data check lists them): mend "
        f"or remove them, or leave them out with --skip-bad; the first: {bad[0]}"
    )


class SplitFile:
    """An ``.npy`` file that grows row by row, with the label and the name of every row beside it.

    Args:
        folder: Where.
        part: Which split.
        form: The form of an image.
        labelled: Whether images have classes; of one that has none the label is -1.
    """

    def __init__(self, folder: Path, part: Part, form: Form, labelled: bool) -> None:
        self.folder, self.part, self.labelled = folder, part, labelled
        self.shape = (form.channels, form.height, form.width)
        self.dtype = np.dtype("u1" if form.bits == 8 else "<u2")
        self.count, self.labels = 0, list[int]()

    def __enter__(self) -> "SplitFile":
        self.file: BinaryIO = (self.folder / f"{self.part}.npy").open("wb")
        self.names = (self.folder / f"{self.part}.names").open("w", encoding="utf-8")
        self._header()
        return self

    def _header(self) -> None:
        """The header of an array of as many rows as there are now. It has the same length for any number of them."""
        np.lib.format.write_array_header_1_0(
            self.file, {"descr": self.dtype.str, "fortran_order": False, "shape": (self.count, *self.shape)}
        )

    def add(self, pixels: Array, item: Item) -> None:
        """Adds an image."""
        self.file.write(pixels.astype(self.dtype, copy=False).tobytes())
        self.names.write(json.dumps(item.name) + "\n")
        self.labels.append(-1 if item.label is None else item.label)
        self.count += 1

    def __exit__(self, *exception: object) -> None:
        with self.names, self.file:
            self.file.seek(0)
            self._header()
        if self.labelled:
            np.save(self.folder / f"{self.part}.labels.npy", np.array(self.labels, np.int64), allow_pickle=False)


def open_entry(folder: Path) -> ImageSet:
    """The image set that an entry of the cache holds. Nothing is read before it is asked for.

    Raises:
        UsageError: If it is no entry.
    """
    with explained(f"{folder} is no entry of the cache, or damaged", "delete it to decode anew"):
        facts: dict[str, Any] = json.loads((folder / "entry.json").read_text(encoding="utf-8"))
        _check_hashes(folder, facts)
        form = Form(**facts["form"])
        classes = tuple(map(str, facts["classes"]))
        train, validation, test = (_split(folder, part, form, len(classes)) for part in PARTS)
        return ImageSet("images", str(facts["title"]), classes, train, validation, test)


def _check_hashes(folder: Path, facts: dict[str, Any]) -> None:
    """Refuses an entry that is not as it was written. One of an older version has no hashes."""
    known = facts.pop("hash", None)
    if known is not None and known != _hash(facts):
        raise ValueError("entry.json is not as it was written")
    for name, found in facts.get("files", {}).items():
        if fingerprint(folder / Path(name).name) != found:
            raise ValueError(f"{name} is not as it was written")


def _split(folder: Path, part: Part, form: Form, classes: int) -> Split:
    path, labels = folder / f"{part}.npy", folder / f"{part}.labels.npy"
    images = Mapped(path)
    if images.shape[1:] != (form.channels, form.height, form.width) or images.bits != form.bits:
        raise ValueError(f"{path} holds other images than entry.json says")
    known = _labels(labels, len(images), classes) if labels.exists() else None
    return Split(images, known, folder / f"{part}.names")


def _labels(path: Path, images: int, classes: int) -> torch.Tensor:
    """The labels of a split, -1 where there is none."""
    with path.open("rb") as file:
        known = read_array(file, path.stat().st_size)
    if known.shape != (images,) or known.dtype != np.int64 or not -1 <= known.min() <= known.max() < classes:
        raise ValueError(f"{path} holds other labels than one for each image")
    return torch.from_numpy(known)
