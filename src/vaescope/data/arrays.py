"""The user's own pictures, from whatever file or folder they are in, as uint8 with the shape the model was made for.

Nothing is resized: an image of another size is refused, because a picture squeezed to fit is not the picture that was
asked about. Floats are taken to lie in [0, 1].
"""

import warnings
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vaescope.data.idx import TYPES, Array, read_idx
from vaescope.errors import UsageError

if TYPE_CHECKING:
    from PIL import Image

Shape = tuple[int, int, int]

MODES = {1: "L", 3: "RGB", 4: "RGBA"}
"""Pillow's name for pictures of so many channels."""


def read_images(path: Path, shape: Shape) -> Array:
    """Reads images of one size; the content of a file, not its name, says what it is.

    Args:
        path: One of

            - ``.npy``, or ``.npz`` with the key ``images`` or with a single array: uint8, or floats in [0, 1], with
              shape (N, C, H, W), (N, H, W, C), (N, H, W) or (H, W);
            - a file in the idx format, gzipped or not, with the same shapes;
            - a picture (PNG, JPEG, ...), or a folder of pictures, which are taken in the order of their names and
              turned grey or coloured as the model needs.
        shape: The shape (C, H, W) that the model expects.

    Returns:
        The images, uint8, with shape (N, C, H, W).

    Raises:
        UsageError: If there is no such file, if it is damaged, or if it holds something else.
    """
    if path.is_dir():
        return _stack(_picture(file, shape) for file in _visible(path))
    start = head(path).ljust(4)
    if start.startswith(b"\x93NUMPY"):
        return _arrange(_load_npy(path), shape, path)
    if start.startswith(b"PK"):
        return _arrange(_load_npz(path), shape, path)
    if start.startswith(b"\x1f\x8b") or (start[:2] == b"\0\0" and start[2] in TYPES):
        return _arrange(read_idx(path), shape, path)
    return _stack([_picture(path, shape)])


def _stack(pictures: Iterable[Array]) -> Array:
    return np.ascontiguousarray(np.stack(list(pictures)))


def head(path: Path) -> bytes:
    """The first bytes of a file."""
    try:
        with path.open("rb") as file:
            start = file.read(8)
    except FileNotFoundError:
        raise UsageError(f"{path} does not exist: give an array file, an idx file, a picture or a folder") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from None
    if not start:
        raise UsageError(f"{path} is empty: 0 bytes")
    return start


def _visible(folder: Path) -> list[Path]:
    """The files of a folder by name, but for hidden ones."""
    files = sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith("."))
    if not files:
        raise UsageError(f"{folder} holds no pictures: give a folder with PNG or JPEG files, without subfolders")
    return files


def _load_npy(path: Path) -> Array:
    with explained(path):
        return _numbers(np.load(path, mmap_mode="r", allow_pickle=False), path)


def _load_npz(path: Path) -> Array:
    """The array ``images`` of an archive, or its only one."""
    with explained(path), path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        names = list(archive.keys())
        if "images" not in names and len(names) != 1:
            raise UsageError(
                f"{path} holds {', '.join(names) or 'no array'}: name one array `images`, or keep only one"
            )
        return _numbers(archive["images" if "images" in names else names[0]], path)


def _numbers(loaded: object, path: Path) -> Array:
    if not isinstance(loaded, np.ndarray):
        raise UsageError(f"{path} is not an archive of arrays: write it with numpy.savez")
    return loaded


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Tells in one line what numpy and zipfile find wrong with a file."""
    try:
        yield
    except UsageError:
        raise
    except (ValueError, EOFError, OSError, MemoryError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        if "object" in str(error).lower():
            raise UsageError(f"{path} holds Python objects: save an array of uint8, or of floats in [0, 1]") from None
        raise UsageError(f"{path} is a damaged array file: {' '.join(str(error).split())}") from None


def _arrange(array: Array, shape: Shape, path: Path) -> Array:
    """Brings an array to bytes and to the order (N, C, H, W)."""
    channels, height, width = shape
    if array.size == 0:
        raise UsageError(f"{path} holds no images: its shape is {array.shape}")
    if array.shape[-2:] == (height, width) and array.ndim in (2, 3) and channels == 1:
        ordered = array.reshape(-1, *shape)
    elif array.ndim == 4 and array.shape[1:] == shape:
        ordered = array
    elif array.ndim == 4 and array.shape[1:] == (height, width, channels):
        ordered = array.transpose(0, 3, 1, 2)
    else:
        raise UsageError(
            f"{path} holds an array of shape {array.shape}: {_expected(shape)}, (N, C, H, W) or (N, H, W, C)"
        )
    return np.array(_to_bytes(ordered, path), order="C")


def _to_bytes(array: Array, path: Path) -> Array:
    """Bytes as they are, floats from [0, 1] rounded to 0 ... 255."""
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype.kind != "f":
        raise UsageError(f"{path} holds {array.dtype}: images are uint8, or floats in [0, 1]")
    low, high = float(array.min()), float(array.max())
    if not np.isfinite([low, high]).all():
        raise UsageError(f"{path} holds values that are not finite (NaN or infinity): images are floats in [0, 1]")
    if low < 0 or high > 1:
        raise UsageError(
            f"{path} holds floats from {low:g} to {high:g}, expected [0, 1]: rescale them, or save uint8 for 0 to 255"
        )
    return np.rint(array * 255).astype(np.uint8)


def _picture(path: Path, shape: Shape) -> Array:
    """One picture, with shape (C, H, W); of an animation the first frame."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    channels, height, width = shape
    if channels not in MODES:
        raise UsageError(f"{path}: the model expects {channels} channels, pictures have 1, 3 or 4; give a .npy file")
    try:
        with warnings.catch_warnings(action="error", category=Image.DecompressionBombWarning), Image.open(path) as file:
            picture = ImageOps.exif_transpose(file)
            if picture.size != (width, height):
                found = f"{picture.height} x {picture.width} pixels"
                raise UsageError(f"{path} has {found}: {_expected(shape)}; nothing is resized")
            pixels = np.asarray(_as_mode(picture, MODES[channels], path))
    except UsageError:
        raise
    except UnidentifiedImageError:
        raise UsageError(
            f"{path} is not a whole picture, an idx file or an array file: it begins with {head(path)!r}"
        ) from None
    except Exception as error:  # a damaged picture makes Pillow raise almost anything
        raise UsageError(f"{path} is a damaged picture: {error}") from None
    return pixels.reshape(height, width, channels).transpose(2, 0, 1)


def _as_mode(picture: "Image.Image", mode: str, path: Path) -> "Image.Image":
    """The picture in grey or in colours, 8 bits each."""
    from PIL import Image

    if picture.mode == "F":
        raise UsageError(f"{path} holds floats: save it with 8 bits a channel")
    if picture.mode.startswith("I"):  # 16 bits, which Pillow would cut off rather than scale
        picture = Image.fromarray(np.rint(np.asarray(picture) / 257).clip(0, 255).astype(np.uint8))
    if mode != "RGBA" and picture.has_transparency_data and _least_alpha(picture) < 255:
        raise UsageError(f"{path} is partly transparent and the model knows no transparency: give it a background")
    return picture.convert(mode)


def _expected(shape: Shape) -> str:
    channels, height, width = shape
    kind = {1: "grey", 3: "colour"}.get(channels, f"{channels}-channel")
    return f"the model expects {kind} images of {height} x {width} pixels"


def _least_alpha(picture: "Image.Image") -> int:
    return int(np.asarray(picture.convert("RGBA"))[..., 3].min())
