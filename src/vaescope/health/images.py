"""Images: what ``vaescope data check`` finds of them, as what is wrong and how to mend it."""

import math
import shlex
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from vaescope.data.fetch import Progress
from vaescope.data.images import OWN as IDX
from vaescope.data.images import describe, load
from vaescope.data.items import Source
from vaescope.data.own import open_source
from vaescope.data.sources import find
from vaescope.data.survey import Survey, survey, trouble
from vaescope.errors import UsageError, one_line
from vaescope.files import cache_folder
from vaescope.health.finding import Check, Finding, fault, note, ok, size, warning
from vaescope.health.machine import nearest
from vaescope.picks import pick
from vaescope.request import is_own, named

FEW = 10
"""Images of a class, of which a test split of a tenth has one."""


def image_checks(where: str, progress: Progress | None = None) -> list[Check]:
    """What there is to look at of images.

    Args:
        where: A folder or file with images, a folder with the files of a set, or the name of a set in ``data``.
        progress: Is told how many were looked at.

    Raises:
        UsageError: If there are none.
    """
    if not is_own(where):
        folder = Path(where)
        name = named(where)[-1]  # which refuses what is neither a place nor a name
        root = folder if folder.is_dir() else Path("data")
        return [Check("files", partial(files, name, root))]
    source = open_source(where)
    found = survey(source, deep=True, progress=progress)
    parts = {"reading": reading, "number": number, "values": values, "classes": classes, "duplicates": duplicates}
    checks = [Check(name, partial(look, found)) for name, look in parts.items()]
    return [
        *checks,
        Check("room", partial(room_for, found)),
        Check("training", partial(training, where, source, found)),
    ]


def files(name: str, root: Path) -> Iterator[Finding]:
    """Whether the files of a set are those that were published, and what is in them."""
    try:
        images = load(name, root, lambda line: None, fetch_missing=False)
    except UsageError as error:
        mend = "give four idx files of images and labels that agree, see docs/data.md"
        again = f"vaescope data fetch {name} --root {shlex.quote(str(root))}, after deleting what is wrong"
        yield fault(one_line(error), mend if name == IDX else again)
        return
    found = describe(images)
    counts = ", ".join(f"{len(split):,} {part}" for part, split in images.splits.items())
    checked = "read whole" if name == IDX or find(name).drawn else "as published (SHA-256)"
    yield ok(f"{images.title}: {counts} images of {'x'.join(map(str, images.shape))}, {checked}")
    shared = {pair: count for pair, count in found["duplicates"].items() if "/" in pair and count}
    for pair, count in shared.items():
        yield note(f"{count:,} images are in both splits of {pair}")


def reading(found: Survey) -> Iterator[Finding]:
    """Whether every image can be read."""
    if found.bad:
        first = "; ".join(one_line(why, 120) for _, why in found.bad[:3]) + (" ..." if len(found.bad) > 3 else "")
        remedy = "delete or mend them, or train with --skip-bad, which leaves them out"
        yield fault(f"{len(found.bad):,} of {found.count:,} cannot be read: {first}", remedy)
    else:
        yield ok(f"{found.title}: {found.count:,} image{'s'[: found.count != 1]}, all can be read")
    if found.ignored:
        listed = ", ".join(found.ignored[:3]) + (" ..." if len(found.ignored) > 3 else "")
        yield note(f"{len(found.ignored):,} other files lie there and are ignored: {listed}")


def number(found: Survey) -> Iterator[Finding]:
    """Whether they are of one size, and in which splits."""
    if len(found.sizes) > 1:
        listed = ", ".join(f"{h}x{w}" for (h, w), _ in found.sizes.most_common(3))
        more = " ..." if len(found.sizes) > 3 else ""
        yield note(
            f"{len(found.sizes):,} sizes ({listed}{more}), which are brought to one",
            "say which with --data.size, and how with --data.fit",
        )
    elif found.sizes:
        (height, width), count = found.sizes.most_common(1)[0]
        yield ok(f"{count:,} of {height}x{width}, {', '.join(found.modes)}")


def values(found: Survey) -> Iterator[Finding]:
    """Whether the values use their range."""
    low, high = found.extremes
    if not found.sizes:
        return
    if low == high:
        yield warning("all values of all images are equal", "look at how the images were written")
    elif found.dark:
        yield warning(
            f"the brightest value is {high:.1%} of white, so the images are nearly black",
            "scale them up: levels up to 255 as bytes, up to 65535 as 16 bits",
        )
    else:
        kind = ", black and white" if found.two_valued else ""
        yield ok(f"{low:.2f} to {high:.2f} of the largest{kind}")


def classes(found: Survey) -> Iterator[Finding]:
    """Whether the classes are large enough, and every image is in one."""
    if not found.classes:
        return
    if found.unlabelled:
        yield note(
            f"{found.unlabelled:,} images have no class, although others have",
            "put them into a class, or train with --data.classes false",
        )
    small = [name for name, count in found.classes.items() if count < FEW]
    if small:
        listed = ", ".join(small[:3]) + (" ..." if len(small) > 3 else "")
        yield note(f"{len(small)} of {len(found.classes)} classes have fewer than {FEW} images: {listed}")
    else:
        yield ok(f"{len(found.classes)}, the smallest of {min(found.classes.values()):,} images")


def duplicates(found: Survey) -> Iterator[Finding]:
    """Whether images are there twice, and above all in two splits."""
    for (one, other), count in found.shared.items():
        if count:
            text = f"{count:,} images of {other} are in {one} as well, so what is measured on them is too good"
            yield warning(text, f"delete them from {one}")
    if found.duplicates:
        yield note(f"{found.duplicates:,} images are there twice in one split")
    elif not any(found.shared.values()):
        yield ok("none")


def training(where: str, source: Source, found: Survey) -> Iterator[Finding]:
    """Whether they can be trained on."""
    wrong = trouble(source, found) if found.sizes else []
    for text in wrong:
        said, _, remedy = text.rpartition(": ")
        yield fault(said, remedy)
    if found.sizes and not wrong:
        yield ok(f"vaescope train --data {shlex.quote(where)}{' --skip-bad' if found.bad else ''}")


def room_for(found: Survey) -> Iterator[Finding]:
    """Whether there is room for the images once they are decoded."""
    if not found.sizes:
        return
    picked = pick(found).data
    needed = found.count * math.prod(picked["size"]) * picked["channels"] * picked["bits"] // 8
    free = shutil.disk_usage(nearest(cache_folder())).free
    text = f"decoded they take {size(needed)} of {size(free)} left in {cache_folder()}"
    if needed > free:
        yield fault(text, "free some space, or set VAESCOPE_CACHE or --data.cache to a folder with room")
    else:
        yield ok(text)
