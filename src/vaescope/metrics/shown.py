"""What of the test images a model is scored on, in the words of a protocol.

Binary images are scored by one draw of their pixels, and another draw moves the mean over 10,000 images by a tenth of a
nat. The draw is the one that the literature uses since the code of the VampPrior paper, and this is verified.

References:
    | VAE with a VampPrior (Tomczak and Welling, 2018)
    | https://arxiv.org/abs/1705.07120
"""

import hashlib

from vaescope.data.targets import Target
from vaescope.metrics.subject import Subject

DIGESTS = {"fashion-mnist": "e4212d83be002c1cd02cb09c6bcda490", "mnist": "b4446116d9378ee7b169a7661425ab9b"}
"""The MD5 of the draw of all test images, as the bits of each in row-major order, filled up to whole bytes."""

IMAGES = 10_000
"""How many these are: with classes left out there are fewer, and the draw is another."""


def shown(subject: Subject) -> tuple[str, str]:
    """How the test images are shown, and what is wrong with that, if anything is.

    Args:
        subject: The model and its images.

    Returns:
        Words for a protocol, and a warning or nothing.
    """
    words = in_words(subject.target, subject.images.name, len(subject.test))
    if words == subject.target.shown or (found := drawn(subject)) == DIGESTS[subject.images.name]:
        return words, ""
    return subject.target.shown, f"the binary images have MD5 {found}, not the one of the fixed draw of the literature"


def in_words(target: Target, name: str, count: int) -> str:
    """How test images are shown, with the draw where it is one that is known.

    Args:
        target: What of images is explained.
        name: The name of the image set.
        count: The number of test images.
    """
    known = name in DIGESTS and target.discrete and count == IMAGES
    return f"{target.shown}, fixed draw with MD5 {DIGESTS[name][:8]}…" if known else target.shown


def drawn(subject: Subject) -> str:
    """The MD5 of the binary test images, which are kept as single bits."""
    rows = subject.test.rows
    return hashlib.md5(rows[:].numpy().tobytes(), usedforsecurity=False).hexdigest()
