"""From one picture to pixels of the form that a model takes: every rule for modes, depths and sizes is here.

A picture is whatever Pillow reads. It is brought to 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGBA) channels:

======================================  ===============================================================================
What it is                              What is read
======================================  ===============================================================================
1 bit, grey, grey with alpha            1, 1 or 2 channels; 1 bit is 0 and 255
palette                                 3 channels, 4 if its palette has transparency
RGB, RGBA                               3 or 4 channels
one colour stands for transparent       one channel more, 0 where a pixel has just this colour
CMYK, YCbCr, LAB, HSV                   3 channels, by Pillow's conversion
premultiplied alpha                     2 or 4 channels, divided by alpha again
16-bit grey                             1 channel of 16 bits; 32-bit integers too, if all lie in 0 ... 65535
16-bit colour                           as Pillow reads it: the upper 8 bits
floats, EPS                             refused
animation                               its first frame
EXIF orientation                        honoured, and reported sizes are those after the turn; an unreadable one is none
colour profile (ICC), gamma             ignored: the numbers in the file are the pixels
======================================  ===============================================================================

Then, in this order:

1. *Transparency*: kept where the form has an alpha channel (2 or 4), otherwise laid over white.
2. *Size*: see :class:`Form`. Lanczos, antialiased on the way down; colours weigh in by their alpha, and where alpha
   comes out as 0 they are 0. With alpha or with 16 bits each channel is resampled as floats, rounded and clipped.
   A picture that has the size is not touched, and one that is only too large in one direction is cut, not resampled.
   JPEGs of at least four times the size are decoded at a half, a quarter or an eighth of theirs, never below twice the
   wanted one.
3. *Channels*: grey from colour is the luma of ITU-R 601, (19595 R + 38470 G + 7471 B) / 65536 rounded, as Pillow has
   it; colour from grey is grey three times; an alpha channel that is missing is opaque.
4. *Depth*: 8 to 16 bits is x 257, 16 to 8 is x / 257 rounded.

Whatever cannot be read is refused in one line, and so is, before it is decoded, a header that promises more than
:data:`MOST_PIXELS`. Both functions may be called from many threads.
"""

import io
import math
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

import numpy as np

from vaescope.data.idx import Array
from vaescope.data.items import Content
from vaescope.data.quiet import quiet
from vaescope.errors import UsageError

if TYPE_CHECKING:
    from PIL import Image

Fit = Literal["crop", "pad", "stretch", "exact"]
"""How a picture of another size is brought to the wanted one."""

MOST_PIXELS = 120_000_000
"""Pictures that promise more are refused before they are decoded. Telephones take up to 108 million."""

LARGE, DENSEST = 1 << 24, 100
"""Of more pixels than this, a file of ones that are seen has more than a byte for every hundred; else it is a bomb."""

KINDS = {
    "1": ("L", "black and white"),
    "L": ("L", "grey"),
    "LA": ("LA", "grey with alpha"),
    "La": ("LA", "grey with premultiplied alpha"),
    "I": ("I", "16-bit grey"),
    "I;16": ("I", "16-bit grey"),
    "I;16L": ("I", "16-bit grey"),
    "I;16B": ("I", "16-bit grey"),
    "I;16N": ("I", "16-bit grey"),
    "P": ("RGB", "palette"),
    "PA": ("RGBA", "palette with alpha"),
    "RGB": ("RGB", "colour"),
    "RGBX": ("RGB", "colour"),
    "RGBA": ("RGBA", "colour with alpha"),
    "RGBa": ("RGBA", "colour with premultiplied alpha"),
    "CMYK": ("RGB", "CMYK"),
    "YCbCr": ("RGB", "YCbCr"),
    "LAB": ("RGB", "LAB"),
    "HSV": ("RGB", "HSV"),
}
"""What a picture in each of Pillow's modes is read as, and what it is called. I stands for integers of 16 bits."""

BANDS = {"L": 1, "I": 1, "LA": 2, "RGB": 3, "RGBA": 4}

TURNS = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: pixels.swapaxes(0, 1)[:, ::-1],
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: lambda pixels: pixels.swapaxes(0, 1)[::-1],
}
"""What each EXIF orientation asks to be done to pixels with shape (H, W, C) before they are shown."""

ORIENTATION = 0x0112  # the number of the tag in EXIF and TIFF
WIDTH, HEIGHT = 0x0100, 0x0101  # tags in TIFF
Box = tuple[float, float, float, float]
LUMA = np.array([19595, 38470, 7471], np.uint32)  # ITU-R 601, in units of 1 / 65536

_plugins = threading.Lock()


@dataclass(frozen=True)
class Look:
    """What the header of a picture says.

    Args:
        height: Rows of pixels, after the turn that its EXIF orientation asks for.
        width: Columns of pixels.
        channels: 1 (grey), 2 (grey and alpha), 3 (RGB) or 4 (RGBA). A palette is RGB, even one that is all grey.
        bits: 8 or 16 for every value.
        mode: What kind of picture it is, in a few words: grey, palette, CMYK ...
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


def look(content: Content, name: str) -> Look:
    """Says what a picture is without decoding its pixels.

    Args:
        content: The file, its bytes, or pixels with shape (H, W, C).
        name: What to call it in an error.

    Raises:
        UsageError: If it cannot be read, or if it has too many pixels.
    """
    if isinstance(content, np.ndarray):
        height, width, channels = _checked(content, name).shape
        return Look(height, width, channels, 8 * content.itemsize, "array")
    with _opened(content, name) as picture:
        kind, words = _kind(picture)
        clear = kind in ("L", "I", "RGB") and picture.has_transparency_data
        if clear:
            words += " with transparency"
        if kind != "I" and ";16" in _raw(picture):
            words = f"16-bit {words}, read with 8 bits"
        width, height = _turned_size(picture)
        return Look(height, width, BANDS[kind] + clear, 16 if kind == "I" else 8, words)


def decode(content: Content, form: Form, name: str) -> Array:
    """Reads a picture and brings it to a form.

    Args:
        content: The file, its bytes, or pixels with shape (H, W, C), uint8 or uint16.
        form: The size, the channels and the depth that are wanted.
        name: What to call it in an error.

    Returns:
        New pixels with shape (C, H, W), uint8 for 8 bits and uint16 for 16.

    Raises:
        UsageError: If it cannot be read, if it has too many pixels, or if it has another size and the fit is exact.
    """
    pixels = _checked(content, name) if isinstance(content, np.ndarray) else _read(content, form, name)
    if form.channels in (1, 3):
        pixels = _over_white(pixels)
    pixels = _with_channels(_with_size(pixels, form, name), form.channels)
    return np.array(_with_bits(pixels, form.bits).transpose(2, 0, 1), order="C")


# From files to pixels


@contextmanager
def _opened(content: Path | bytes, name: str) -> Iterator["Image.Image"]:
    """A picture whose header is read and found right. Whatever Pillow makes of a damaged one is one line."""
    from PIL import Image, UnidentifiedImageError

    with _stream(content, name) as stream, quiet("PIL.TiffImagePlugin"):
        try:
            if not (size := stream.seek(0, io.SEEK_END)):
                raise UsageError(f"{name} is empty, 0 bytes: copy it again, or leave it out")
            stream.seek(0)
            _load_plugins()
            with Image.open(stream) as picture:
                _check_header(picture, name, size)
                if picture.format == "PNG" and "exif" not in picture.info:
                    _find_late_exif(picture, stream)
                yield picture
        except UsageError:
            raise
        except UnidentifiedImageError:
            stream.seek(0)
            raise UsageError(
                f"{name} is not a picture that Pillow reads, or its header is damaged: it begins with "
                f"{stream.read(8)!r}; save it as PNG or JPEG, or leave it out"
            ) from None
        except Image.DecompressionBombError:
            raise _bomb(name) from None
        except Exception as error:  # a damaged picture makes Pillow raise almost anything
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise UsageError(f"{name} is a damaged picture ({reason}): copy it again, or leave it out") from None


@contextmanager
def _stream(content: Path | bytes, name: str) -> Iterator[BinaryIO]:
    try:
        stream = io.BytesIO(content) if isinstance(content, bytes) else content.open("rb")
    except OSError as error:
        raise UsageError(f"{name} cannot be read: {error.strerror or error}") from None
    with stream:
        yield stream


def _load_plugins() -> None:
    """Registers all formats at once: a thread that opens a picture meanwhile would miss those that come late."""
    from PIL import Image

    with _plugins:
        Image.preinit()  # first of all, so that the common ones are tried first
        Image.init()


def _check_header(picture: "Image.Image", name: str, size: int) -> None:
    pixels = picture.width * picture.height
    if pixels > MOST_PIXELS:
        raise _bomb(name, f"{picture.height} x {picture.width}")
    if pixels > max(LARGE, DENSEST * size):
        raise UsageError(
            f"{name} promises {picture.height} x {picture.width} pixels in {size:,} bytes, which can only be a "
            "blank: scale it down, or leave it out"
        )
    if picture.format == "EPS":  # Pillow would start Ghostscript, and this is a program, not a picture
        raise UsageError(f"{name} is an EPS file, which has no pixels: save it as PNG")
    if picture.mode == "F":
        raise UsageError(f"{name} holds floats: save it with 8 or 16 bits for every value")
    if picture.mode not in KINDS:
        raise UsageError(f"{name} has Pillow's mode {picture.mode}, expected one of {', '.join(KINDS)}: save it as PNG")


def _bomb(name: str, size: str = "too many") -> UsageError:
    return UsageError(
        f"{name} promises {size} pixels, at most {MOST_PIXELS:,} are decoded: scale it down, or leave it out"
    )


def _find_late_exif(picture: "Image.Image", stream: BinaryIO) -> None:
    """Finds the EXIF chunk that a PNG may have after its pixels, where Pillow looks only once these are decoded."""
    here = stream.tell()
    stream.seek(8)
    while len(head := stream.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        if kind == b"eXIf":
            picture.info["exif"] = stream.read(length)
            break
        stream.seek(length + 4, io.SEEK_CUR)
    stream.seek(here)


def _orientation(picture: "Image.Image") -> int:
    from PIL import Image

    try:  # not the method of the picture, which for a PNG would decode it
        return Image.Image.getexif(picture).get(ORIENTATION, 1)
    except Exception:  # the picture is whole: what cannot be read of its EXIF does not turn it
        return 1


def _turned_size(picture: "Image.Image") -> tuple[int, int]:
    """The width and the height once the picture is turned. Of a TIFF some versions of Pillow say the turned size."""
    tags = getattr(picture, "tag_v2", {})
    width, height = tags.get(WIDTH, picture.width), tags.get(HEIGHT, picture.height)
    return (height, width) if _orientation(picture) in (5, 6, 7, 8) else (width, height)


def _raw(picture: "Image.Image") -> str:
    """How the values lie in the file, as far as its header tells: "RGB;16B" are 16 bits in three channels."""
    tiles = getattr(picture, "tile", ())
    return str(tiles[0][3]) if tiles else ""


def _kind(picture: "Image.Image") -> tuple[str, str]:
    """What it is read as and what it is called. Grey with alpha, 16 bits each, Pillow gives as RGBA."""
    return KINDS["LA" if _raw(picture).startswith("LA") else picture.mode]


def _read(content: Path | bytes, form: Form, name: str) -> Array:
    """The pixels of a picture, with shape (H, W, C), turned; a large JPEG may be smaller already."""
    with _opened(content, name) as picture:
        (kind, _), clear = _kind(picture), _clear(picture)
        if form.fit != "exact":
            _draft(picture, form)
        picture.load()
        pixels = _pixels(picture, kind, name)
        if clear is not None and pixels.shape[2] in (1, 3):
            pixels = _without(pixels, clear)
        return TURNS.get(_orientation(picture), lambda same: same)(pixels)


def _draft(picture: "Image.Image", form: Form) -> None:
    """Lets Pillow decode a large JPEG at a fraction of its size, at least twice what is wanted."""
    turned = _orientation(picture) in (5, 6, 7, 8)
    width, height = (form.height, form.width) if turned else (form.width, form.height)
    picture.draft(None, (2 * width, 2 * height))


def _pixels(picture: "Image.Image", kind: str, name: str) -> Array:
    """What Pillow has decoded, with shape (H, W, C), uint8 or uint16."""
    if kind == "I":
        return _sixteen(np.asarray(picture), name)[..., None]
    if picture.mode == "P" and picture.has_transparency_data:
        kind = "RGBA"
    pixels = np.asarray(picture if picture.mode == kind else picture.convert(kind))
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _without(pixels: Array, clear: Array) -> Array:
    """With an alpha channel, in which pixels of one colour are transparent."""
    alpha = np.where((pixels == clear).all(-1, keepdims=True), 0, np.iinfo(pixels.dtype).max)
    return np.concatenate([pixels, alpha.astype(pixels.dtype)], -1)


def _clear(picture: "Image.Image") -> Array | None:
    """The grey or the colour that stands for transparent, in the depth in which Pillow reads pixels."""
    clear, raw = picture.info.get("transparency"), _raw(picture)
    if clear is None or picture.mode == "P":
        return None
    if _kind(picture)[0] != "I" and ";16" in raw:
        return np.asarray(clear) >> 8
    return np.asarray(clear) * {"L;2": 85, "L;4": 17}.get(raw, 1)


def _sixteen(grey: Array, name: str) -> Array:
    low, high = int(grey.min()), int(grey.max())
    if low < 0 or high > 65535:
        raise UsageError(f"{name} holds integers from {low} to {high}, expected 0 to 65535: save it with 16 bits")
    return grey.astype(np.uint16)


def _checked(pixels: Array, name: str) -> Array:
    if pixels.ndim != 3 or not 1 <= pixels.shape[2] <= 4 or pixels.size == 0:
        raise UsageError(f"{name} has shape {pixels.shape}, expected (H, W, C) with 1 to 4 channels")
    if pixels.dtype not in (np.uint8, np.uint16):
        raise UsageError(f"{name} holds {pixels.dtype}, expected uint8 or uint16")
    return pixels


# From pixels to pixels, with shape (H, W, C), uint8 or uint16


def _over_white(pixels: Array) -> Array:
    """Without its alpha channel, if it has one: what shows through is white."""
    if pixels.shape[2] in (1, 3):
        return pixels
    top = np.iinfo(pixels.dtype).max
    if pixels[..., -1].min() == top:
        return pixels[..., :-1]
    wide: type[np.unsignedinteger] = np.uint16 if top == 255 else np.uint32  # the largest sum, top^2 + top / 2, fits
    alpha = pixels[..., -1].astype(wide)
    white = wide(top) * (wide(top) - alpha) + wide(top // 2)
    return np.stack([(pixels[..., i] * alpha + white) // wide(top) for i in range(pixels.shape[2] - 1)], -1).astype(
        pixels.dtype
    )


def _with_channels(pixels: Array, channels: int) -> Array:
    """Turned grey or coloured, with or without alpha."""
    if pixels.shape[2] == channels:
        return pixels
    opaque = pixels.shape[2] in (1, 3)
    colours = pixels if opaque else pixels[..., :-1]
    if channels <= 2 and colours.shape[2] == 3:
        colours = ((colours @ LUMA + np.uint32(1 << 15)) >> np.uint32(16)).astype(pixels.dtype)[..., None]
    elif channels >= 3 and colours.shape[2] == 1:
        colours = colours.repeat(3, -1)
    if channels in (1, 3):
        return colours
    alpha = np.full_like(pixels[..., :1], np.iinfo(pixels.dtype).max) if opaque else pixels[..., -1:]
    return np.concatenate([colours, alpha], -1)


def _with_bits(pixels: Array, bits: int) -> Array:
    if pixels.dtype == np.uint8 and bits == 16:
        return pixels * np.uint16(257)
    if pixels.dtype == np.uint16 and bits == 8:
        return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)  # there are no ties: 257 is odd
    return pixels


def _with_size(pixels: Array, form: Form, name: str) -> Array:
    height, width = pixels.shape[:2]
    if (height, width) == (form.height, form.width):
        return pixels
    if form.fit == "exact":
        raise UsageError(
            f"{name} has {height} x {width} pixels, expected {form.height} x {form.width}: set data.size and data.fit "
            "to crop, pad or stretch it"
        )
    way = {"crop": _cropped, "pad": _padded, "stretch": _scaled}[form.fit]
    return way(pixels, form.height, form.width)


def _cropped(pixels: Array, height: int, width: int) -> Array:
    """Scaled until it covers the size, the middle kept."""
    tall, wide = pixels.shape[:2]
    rows, columns = min(tall, wide * height / width), min(wide, tall * width / height)  # what is kept of them
    if (rows, columns) == (height, width):  # at its own scale
        return _middle(pixels, height, width)
    pixels = _middle(pixels, _even(rows, tall), _even(columns, wide))
    tall, wide = pixels.shape[:2]
    box = ((wide - columns) / 2, (tall - rows) / 2, (wide + columns) / 2, (tall + rows) / 2)
    return _scaled(pixels, height, width, box)


def _even(kept: float, size: int) -> int:
    """The fewest whole pixels with the same middle as ``size`` that hold as many as are kept."""
    least = math.ceil(kept)
    return least + (size - least) % 2


def _middle(pixels: Array, height: int, width: int) -> Array:
    top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
    return pixels[top : top + height, left : left + width]


def _padded(pixels: Array, height: int, width: int) -> Array:
    """Scaled until it fits into the size, in the middle; the rest has the mean colour of its border."""
    tall, wide = pixels.shape[:2]
    rows = min(height, max(1, round(tall * width / wide)))
    columns = min(width, max(1, round(wide * height / tall)))
    scaled = _scaled(pixels, rows, columns)
    padded = np.empty((height, width, pixels.shape[2]), pixels.dtype)
    padded[:] = _border(scaled)
    _middle(padded, rows, columns)[:] = scaled
    return padded


def _border(pixels: Array) -> Array:
    """The mean of the outermost pixels, with shape (C,); colours weigh in by their alpha."""
    outer = np.ones(pixels.shape[:2], bool)
    outer[1:-1, 1:-1] = False
    border = pixels[outer].astype(np.float64)  # (N, C)
    if pixels.shape[2] in (1, 3):
        return _rounded(border.mean(0), pixels)
    alpha = border[:, -1:]
    colours = (border[:, :-1] * alpha).sum(0) / max(1.0, alpha.sum())
    return _rounded(np.append(colours, alpha.mean()), pixels)


def _scaled(pixels: Array, height: int, width: int, box: Box | None = None) -> Array:
    """Resampled to a size; of a box (left, top, right, bottom) only what is in it."""
    if box is None and pixels.shape[:2] == (height, width):
        return pixels
    if pixels.shape[2] in (1, 3):
        if pixels.dtype == np.uint8:
            return _lanczos(pixels.squeeze(-1) if pixels.shape[2] == 1 else pixels, height, width, box)
        planes = [_plane(pixels[..., i], height, width, box) for i in range(pixels.shape[2])]
        return _rounded(np.concatenate(planes, -1), pixels)
    alpha = _plane(pixels[..., -1], height, width, box)
    weight = pixels[..., -1].astype(np.float32)
    seen = np.rint(alpha) > 0
    planes = [_plane(pixels[..., i] * weight, height, width, box) for i in range(pixels.shape[2] - 1)]
    colours = [np.where(seen, plane / np.where(seen, alpha, 1), 0) for plane in planes]
    return _rounded(np.concatenate([*colours, alpha], -1), pixels)


def _plane(plane: Array, height: int, width: int, box: Box | None) -> Array:
    """One channel as floats."""
    return _lanczos(plane.astype(np.float32), height, width, box)


def _lanczos(pixels: Array, height: int, width: int, box: Box | None) -> Array:
    """What Pillow makes of uint8 with shape (H, W) or (H, W, 3) or of float32 with shape (H, W), as (H, W, C)."""
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(pixels))
    scaled = np.asarray(picture.resize((width, height), Image.Resampling.LANCZOS, box))
    return scaled.reshape(height, width, -1)


def _rounded(values: Array, like: Array) -> Array:
    return np.rint(values).clip(0, np.iinfo(like.dtype).max).astype(like.dtype)
