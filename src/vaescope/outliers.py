"""Images of another kind than those of a run: another set, a folder, or the classes that the run has left out."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from vaescope.data.asked import asked
from vaescope.data.fetch import Report, locate, log
from vaescope.data.images import load
from vaescope.data.items import Item, Source
from vaescope.data.own import HUB, from_arrays, open_source
from vaescope.data.sources import FILE_NAMES, NAMED, find
from vaescope.errors import UsageError
from vaescope.metrics.subject import Outliers
from vaescope.run import Run
from vaescope.terminal import printable


class Some(Source):
    """Some images of a source.

    Args:
        source: The source.
        places: Their numbers in it.
    """

    def __init__(self, source: Source, places: Sequence[int]) -> None:
        super().__init__(source.title)
        self.source, self.places = source, frozenset(places)

    def __len__(self) -> int:
        return len(self.places)

    def items(self) -> Iterator[Item]:
        """These images, in their order."""
        return (item for place, item in enumerate(self.source.items()) if place in self.places)

    def fingerprint(self) -> str:
        """A hash of all images of the source, and of which they are."""
        return f"{self.source.fingerprint()} {sorted(self.places)}"


def outliers(run: Run, against: str | None = None, most: int | None = None, report: Report = log) -> Outliers | None:
    """Images that the model of a run has never seen the like of, in the form of the run.

    Args:
        run: The run.
        against: The name of an image set, or where images are; of both the test images, if they have some. By default
            the test images of the classes that ``data.without`` has left out.
        most: How many, at most: they are taken from the whole at equal distances.
        report: Is told in one line what is being done.

    Returns:
        The outliers, if there are any.

    Raises:
        UsageError: If there is no such set, or images cannot be read.
    """
    if against is None:
        return _left_out(run, most, report) if run.config.data.without else None
    source = opened(against, run.config.data.root.expanduser(), report)
    tested = "test" in source.parts
    places = [place for place, item in enumerate(source.items()) if not tested or item.part == "test"]
    some = Some(source, spread(places, most))
    if _is_own(run, against):
        report(f"warning: --against {against} is the image set of the run itself: give images of another kind")
    report(f"comparing with {some.size} of {source.title}")
    images = torch.cat([part.images for part in asked(some, run.form)])
    return Outliers(printable(source.title), images, run.target.alone(images))


def opened(against: str, root: Path, report: Report = log) -> Source:
    """The images of a set with a name, of a folder with its files, or of any other place.

    Args:
        against: The name or the place.
        root: Where a set with a name may lie, beside ``data``.
        report: Is told in one line what is being fetched.
    """
    path = Path(against).expanduser()
    if path.is_dir() and (file := locate(path, FILE_NAMES["test_images"])):
        source = open_source(file, classes=False)
        source.title = path.name
        return source
    if path.exists() or against.startswith(HUB):
        return open_source(against, classes=False)
    if against not in NAMED and ("/" in against or "." in against):
        raise UsageError(
            f"--against {against} does not exist: give a folder or file with images, or one of {', '.join(NAMED)}"
        )
    named = find(against)
    test = load(against, root if (root / against).is_dir() else Path("data"), report).test
    return from_arrays({"test": test.images[:]}, title=named.title)


def spread(places: Sequence[int], most: int | None) -> list[int]:
    """As many of some numbers as there may be, at equal distances, because images often lie in the order of classes."""
    if most is None or most >= len(places):
        return list(places)
    return [places[k * len(places) // most] for k in range(most)]


def _is_own(run: Run, against: str) -> bool:
    """Whether a name or a place is that of the images of a run."""
    data = run.config.data
    root, place = data.root.expanduser(), Path(against).expanduser()
    named = against in NAMED and against == data.name
    return named or place.resolve() in (root.resolve(), (root / data.name).resolve())


def _left_out(run: Run, most: int | None, report: Report) -> Outliers:
    """The test images of the classes that a run has left out."""
    title, split = run.config.data.left_out(report)
    images = split.images[spread(range(len(split)), most)]
    return Outliers(title, images, run.target.alone(images))
