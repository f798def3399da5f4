"""From one picture to pixels of the form that a model takes: every rule for modes, depths and sizes is here."""

from dataclasses import dataclass
from typing import Literal

Fit = Literal["crop", "pad", "stretch", "exact"]
"""How a picture of another size is brought to the wanted one."""


@dataclass(frozen=True)
class Look:
    """What the header of a picture says.

    Args:
        height: Rows of pixels, after the turn that its EXIF orientation asks for.
        width: Columns of pixels.
        channels: 1 (grey), 2 (grey and alpha), 3 (RGB) or 4 (RGBA); of pictures alpha counts only if it is asked for.
        bits: 8 or 16 for every value.
        mode: What kind of picture it is, in a word or two: grey, palette, CMYK ...
    """

    height: int
    width: int
    channels: int
    bits: int
    mode: str


@dataclass(frozen=True)
class Form:
    """What images are brought to.

    Args:
        height: Rows of pixels.
        width: Columns of pixels.
        channels: From 1 to 4.
        bits: 8 or 16 for every value.
        fit: How to get to this size: crop (scaled until it covers it, the middle kept), pad (scaled until it fits into
            it, the rest filled with the mean of its border), stretch (scaled in each direction on its own, which
            distorts), exact (another size is refused).
    """

    height: int
    width: int
    channels: int
    bits: int = 8
    fit: Fit = "crop"
