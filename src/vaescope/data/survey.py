"""What a set of one's own images is made of: how many, of which sizes and kinds, which cannot be read, which are equal.

A quick survey reads the headers of all pictures and decodes a few hundred, from the first to the last. A deep one
decodes every picture, in its own size and depth, and so finds those that are cut off, and those that are there twice.

What a quick one found is remembered in the cache under the fingerprint of the images, so that of a large folder only
the dates of the files are looked at when training starts again.
"""

import json
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any, NamedTuple, TypeVar

import numpy as np

from vaescope import __version__
from vaescope.data.ahead import ahead
from vaescope.data.fetch import IMAGES, Progress
from vaescope.data.idx import Array
from vaescope.data.items import Item, Part, Source
from vaescope.data.pixels import Form, Look, decode, look
from vaescope.errors import UsageError
from vaescope.files import atomic_file, cache_folder
from vaescope.foreign import from_json

log = logging.getLogger(__name__)

SAMPLE = 300
"""So many images, and less than twice as many, are decoded for their values in any case. Neighbours in a folder are
alike, so they are taken at equal distances."""

SHADE = 0.1
"""Images are nearly black whose values are at most this share of the largest: bytes or 12 bits stored in 16."""

Key = TypeVar("Key")


@dataclass(frozen=True, eq=False)
class Survey:
    """What was found. Counts of sizes, channels, bits and modes are of images that can be read, the others of all.

    Args:
        title: What the images are called.
        count: The number of images, unreadable ones included.
        sizes: How many have which height and width.
        channels: How many have 1 to 4 channels.
        bits: How many have 8 or 16 bits.
        modes: How many are of which kind, in words.
        parts: How many the user has put into which split; None is no split.
        classes: How many are in which class, those without any included; empty without labels.
        unlabelled: How many have no class although others have.
        bad: The images that cannot be read, each with the line that says why.
        ignored: What lies there too but is no image.
        sampled: How many images were decoded for ``two_valued`` and ``extremes``, all if deep.
        two_valued: Whether all their values are 0 or the largest one there is.
        extremes: The smallest and the largest of their values, as shares of the largest one there is.
        deep: Whether all images were decoded.
        duplicates: How many equal an earlier one of the same split, pixel for pixel; only found if deep.
        shared: How many of the second split are in the first as well; only found if deep.
    """

    title: str
    count: int = 0
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    channels: Counter[int] = field(default_factory=Counter)
    bits: Counter[int] = field(default_factory=Counter)
    modes: Counter[str] = field(default_factory=Counter)
    parts: Counter[Part | None] = field(default_factory=Counter)
    classes: Counter[str] = field(default_factory=Counter)
    unlabelled: int = 0
    bad: tuple[tuple[str, str], ...] = ()
    ignored: tuple[str, ...] = ()
    sampled: int = 0
    two_valued: bool = False
    extremes: tuple[float, float] = (0.0, 0.0)
    deep: bool = False
    duplicates: int = 0
    shared: Counter[tuple[Part, Part]] = field(default_factory=Counter)

    def check(self) -> None:
        """Refuses a set of which not one image can be read, and masks of 0 and 1 that would be all but black."""
        if not self.sizes:
            raise UsageError(f"{self.title}: none of {self.count:,} images can be read; the first: {self.bad[0][1]}")
        top = self.extremes[1]
        if 0 < top <= 1 / 255:
            raise UsageError(
                f"{self.title} holds nothing brighter than {top:.2%} of white: give masks of 0 and 1 as bool, levels "
                "up to 255 as uint8, and up to 65535 as uint16"
            )

    @property
    def dark(self) -> bool:
        """Whether all images are nearly black."""
        return self.extremes[1] <= SHADE

    @property
    def common_size(self) -> tuple[int, int]:
        """The height and width that all images have.

        Raises:
            UsageError: If there are several, or none can be read.
        """
        self.check()
        if len(self.sizes) > 1:
            first = ", ".join(f"{height}x{width}" for height, width in list(self.sizes)[:3])
            raise UsageError(
                f"{self.title} holds images of {len(self.sizes):,} sizes ({first}{' ...' * (len(self.sizes) > 3)}): "
                "say what to bring them to, data.size such as [64, 64], and how, data.fit crop, pad or stretch"
            )
        return next(iter(self.sizes))

    @property
    def common_channels(self) -> int:
        """As many as the most that arrays have; of pictures 3 if any has colours, else 1: transparent ones are laid
        over white, unless an alpha channel is asked for."""
        most = max(self.channels, default=1)
        return most if set(self.modes) == {"array"} else 3 if most >= 3 else 1


def trouble(source: Source, found: Survey) -> list[str]:
    """Why images cannot be trained on, apart from those that cannot be read.

    Args:
        source: The images.
        found: What a deep survey found of them.
    """
    few = "at least 3 different images are needed, one each to train, to validate and to test: add more"
    lines = [few] if found.sizes.total() - found.duplicates < 3 else []
    for check in (found.check, lambda: source.learned):
        try:
            check()
        except UsageError as error:
            lines.append(str(error))
    return lines


class Found(NamedTuple):
    """What was found out about one image."""

    item: Item
    look: Look | None
    why: str = ""
    values: tuple[float, float, bool] | None = None
    digest: bytes = b""


def survey(source: Source, deep: bool = False, progress: Progress | None = None) -> Survey:
    """Goes through all images once.

    Args:
        source: The images.
        deep: Whether to decode them all.
        progress: Is told how far it is.

    Raises:
        UsageError: If the source itself cannot be read; images that cannot are reported.
    """
    tally = _Tally(source)
    apart = 1 if deep else max(1, len(source) // SAMPLE)
    tasks = ((item, deep, index % apart == 0) for index, item in enumerate(source.items()))
    for found in ahead(lambda task: _examine(*task), tasks):
        tally.add(found)
        if progress:
            progress(IMAGES, tally.count, len(source))
    return tally.survey(deep)


def remembered_survey(source: Source) -> Survey:
    """A quick survey, or what it found the last time if the images are still the same.

    Args:
        source: The images, in files whose fingerprint is quickly found.
    """
    from PIL import __version__ as reader

    key = repr((__version__, reader, SAMPLE, source.fingerprint())).encode()
    path = cache_folder() / "surveys" / f"{blake2b(key, digest_size=16).hexdigest()}.json"
    try:
        known = _read(from_json(path.read_text(encoding="utf-8")))
        return replace(known, title=source.title, ignored=source.ignored)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # there is none, or none that is whole
        found = survey(source)
    try:
        with atomic_file(path) as temporary:
            temporary.write_text(json.dumps(_written(found)), encoding="utf-8")
    except OSError as error:
        log.debug("the survey is not remembered in %s: %s", path, error)
    return found


def _written(found: Survey) -> dict[str, Any]:
    """A survey as what JSON can hold: counters as pairs."""
    return {name: list(value.items()) if isinstance(value, Counter) else value for name, value in vars(found).items()}


def _read(plain: dict[str, Any]) -> Survey:
    """A survey out of that."""
    empty = vars(Survey(""))
    counts = {
        name: Counter({tuple(key) if isinstance(key, list) else key: count for key, count in value})
        for name, value in plain.items()
        if isinstance(empty[name], Counter)
    }
    low, high = plain["extremes"]
    return Survey(**plain | counts | {"bad": tuple((name, why) for name, why in plain["bad"]), "extremes": (low, high)})


class _Tally:
    """Adds up what is found."""

    def __init__(self, source: Source) -> None:
        self.source, self.count = source, 0
        self.looks: Counter[Look] = Counter()
        self.parts: Counter[Part | None] = Counter()
        self.classes: Counter[str] = Counter(dict.fromkeys(source.classes, 0))
        self.bad: list[tuple[str, str]] = []
        self.values: list[tuple[float, float, bool]] = []
        self.digests: dict[Part | None, Counter[bytes]] = {}

    def add(self, found: Found) -> None:
        """Counts one image in."""
        item = found.item
        self.count += 1
        self.parts[item.part] += 1
        if item.label is not None:
            self.classes[self.source.classes[item.label]] += 1
        if found.look is None:
            self.bad.append((item.name, found.why))
            return
        self.looks[found.look] += 1
        if found.values:
            self.values.append(found.values)
        if found.digest:
            self.digests.setdefault(item.part, Counter())[found.digest] += 1

    def survey(self, deep: bool) -> Survey:
        """What was counted."""
        return Survey(
            title=self.source.title,
            count=self.count,
            sizes=self._by(lambda kind: (kind.height, kind.width)),
            channels=self._by(lambda kind: kind.channels),
            bits=self._by(lambda kind: kind.bits),
            modes=self._by(lambda kind: kind.mode),
            parts=self.parts,
            classes=self.classes,
            unlabelled=self.count - self.classes.total() if self.source.classes else 0,
            bad=tuple(self.bad),
            ignored=self.source.ignored,
            sampled=len(self.values),
            two_valued=bool(self.values) and all(two for _, _, two in self.values),
            extremes=(
                min((low for low, _, _ in self.values), default=0.0),
                max((high for _, high, _ in self.values), default=0.0),
            ),
            deep=deep,
            duplicates=sum(seen.total() - len(seen) for seen in self.digests.values()),
            shared=self._shared(),
        )

    def _by(self, key: Callable[[Look], Key]) -> Counter[Key]:
        counts: Counter[Key] = Counter()
        for kind, count in self.looks.items():
            counts[key(kind)] += count
        return counts

    def _shared(self) -> Counter[tuple[Part, Part]]:
        pairs: tuple[tuple[Part, Part], ...] = (("train", "validation"), ("train", "test"), ("validation", "test"))
        none: Counter[bytes] = Counter()
        seen = {pair: [self.digests.get(part, none) for part in pair] for pair in pairs}
        counts = {pair: sum(n for key, n in second.items() if key in first) for pair, (first, second) in seen.items()}
        return Counter({pair: count for pair, count in counts.items() if count})


def _examine(item: Item, deep: bool, sampled: bool) -> Found:
    """Looks at one image, and decodes it if that is wanted."""
    try:
        seen = look(item.content, item.name)
        if not deep and not sampled:
            return Found(item, seen)
        form = Form(seen.height, seen.width, seen.channels, seen.bits, "exact")
        pixels = decode(item.content, form, item.name)
    except UsageError as error:
        return Found(item, None, str(error))
    return Found(item, seen, "", _values(pixels) if sampled else None, _digest(pixels) if deep else b"")


def _values(pixels: Array) -> tuple[float, float, bool]:
    """The smallest and the largest value as shares of what is possible, and whether there is nothing between."""
    top = np.iinfo(pixels.dtype).max
    return int(pixels.min()) / top, int(pixels.max()) / top, bool(((pixels == 0) | (pixels == top)).all())


def _digest(pixels: Array) -> bytes:
    return blake2b(pixels.tobytes(), digest_size=16, key=str(pixels.shape).encode()).digest()
