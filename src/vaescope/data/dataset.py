"""Where the images of a run come from, and what of them the model explains: the ``data`` part of a config."""

from dataclasses import dataclass
from pathlib import Path

from vaescope.data.fetch import Progress, Report, log
from vaescope.data.images import ImageSet, load
from vaescope.data.targets import TARGETS, Target, TargetName


@dataclass(frozen=True)
class ImageData:
    """An image set and its target.

    Args:
        name: The set: fashion-mnist, mnist, sample (300 real images that come with vaescope), or idx for your own
            four idx files.
        root: The folder for image sets. It may also be one that holds the four idx files of the set, gzipped or not.
        targets: What the model explains: binary (pixels drawn as 0 or 1, anew for every batch), grey (in [0, 1]) or
            centred (in [-1, 1]).
    """

    name: str = "fashion-mnist"
    root: Path = Path("data")
    targets: TargetName = "binary"

    @property
    def target(self) -> Target:
        """What of the images the model explains."""
        return TARGETS[self.targets]

    def load(self, report: Report = log, progress: Progress | None = None) -> ImageSet:
        """Reads the images, fetching them first if they are not there.

        Args:
            report: Is told in one line what is fetched from where.
            progress: Is told how far a download is.

        Raises:
            UsageError: If there is no such set, if it cannot be had, or if a file is wrong.
        """
        return load(self.name, self.root.expanduser(), report, progress)
