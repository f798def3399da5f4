"""Images and labels in arrays: from memory, and from ``.npy``, ``.npz`` and idx files.

The arrays of an ``.npz`` are told apart by their names, in which upper case does not matter: ``images`` (or ``x``,
``data``) and ``labels`` (``y``, ``targets``), and with the name of a split before or behind it ``x_train``,
``test_labels`` ... or the split alone, ``train``.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vaescope.data.idx import Array, read_idx
from vaescope.data.items import Part
from vaescope.data.own.labels import WITHOUT, Given
from vaescope.data.own.layout import AXES, Images, understand
from vaescope.data.own.parts import PARTS, rank
from vaescope.data.own.pieces import Piece, Pieces
from vaescope.data.own.remembered import hasher, remembering
from vaescope.data.own.stored import Stored, in_memory, open_npy, open_npz
from vaescope.errors import UsageError

IMAGES = ("images", "image", "x", "data", "imgs", "img", "")
LABELS = ("labels", "label", "y", "targets", "target")


def from_arrays(images: Any, labels: Any = None, names: Sequence[str] | None = None, title: str = "images") -> Pieces:
    """Images that are in memory.

    Args:
        images: A numpy array or a torch tensor with shape (N, H, W), (N, H, W, C) or (N, C, H, W), C from 1 to 4:
            uint8, uint16, bool, or floats in [0, 1]. Or one for each split: a dict with the keys train, validation
            and test.
        labels: A number or a name for each image, with shape (N,), or a dict of them with the same keys.
        names: What to call each image.
        title: What figures and reports call them.

    Raises:
        UsageError: For other shapes, types and values, and for labels of another length.
    """
    given = images if isinstance(images, Mapping) else {None: images}
    answers = labels if isinstance(labels, Mapping) else {None: labels}
    if labels is not None and (strange := [key for key in answers if key not in given]):
        what = "labels" if strange[0] is None else f"labels of {strange[0]!r}"
        raise UsageError(
            f"{what} without images of that name: give both as arrays, or both as dicts with the same keys"
        )
    for key in given:
        if key is not None and key not in PARTS:
            raise UsageError(f"images of {key!r}: the splits are train, validation and test")
    order = sorted(given, key=lambda key: rank(PARTS.get(key or "")))
    pieces = [_given(key, given[key], answers.get(key)) for key in order]
    return Pieces(title, pieces, "images", names=names)


def read_npy(path: Path) -> Pieces:
    """The images in a ``.npy`` file.

    Args:
        path: The file.
    """
    return Pieces(path.stem, [_piece(open_npy(path), path)], path)


def read_idx_images(path: Path, classes: bool = True) -> Pieces:
    """The images in an idx file, with the labels in the file beside it that is named as it is.

    Args:
        path: The file, gzipped or not, such as ``train-images-idx3-ubyte.gz``.
        classes: Whether to look for labels.
    """
    beside = path.with_name(path.name.replace("-images-idx3-", "-labels-idx1-"))
    labels = read_idx(beside, 1) if classes and beside != path and beside.is_file() else None
    return Pieces(path.stem, [_piece(in_memory(read_idx(path), str(path)), path, labels=labels)], path)


def read_npz(path: Path, classes: bool = True) -> Pieces:
    """The images and labels in an ``.npz`` file.

    Args:
        path: The file.
        classes: Whether to look for labels.
    """
    stored = open_npz(path)
    roles = {key: _role(key) for key in stored}
    found = _chosen([key for key, (_, role) in roles.items() if role in IMAGES], roles, IMAGES) or _only(stored, path)
    if len(found) > 1:
        found.pop(None, None)
    labels = _chosen([key for key, (_, role) in roles.items() if role in LABELS], roles, LABELS) if classes else {}
    pieces = [
        _piece(stored[key], path, part, _few(stored[labels[part]]) if part in labels else None)
        for part, key in sorted(found.items(), key=lambda pair: rank(pair[0]))
    ]
    used = {*found.values(), *(labels[part] for part in found if part in labels)}
    return Pieces(path.stem, pieces, path, ignored=tuple(key for key in stored if key not in used))


def _chosen(keys: Sequence[str], roles: Mapping[str, tuple[Part | None, str]], order: Sequence[str]) -> dict:
    """For each split the array whose name comes first in the order."""
    best: dict[Part | None, str] = {}
    for key in sorted(keys, key=lambda key: order.index(roles[key][1]), reverse=True):
        best[roles[key][0]] = key
    return best


def _role(key: str) -> tuple[Part | None, str]:
    """The split that the name of an array speaks of, and the rest of the name: ``X_train`` is (train, x)."""
    words = key.lower().replace("-", "_").split("_")
    for position in (0, -1):
        if part := PARTS.get(words[position]):
            del words[position]
            return part, "_".join(words)
    return None, "data" if key == "arr_0" else "_".join(words)


def _only(stored: Mapping[str, Stored], path: Path) -> dict[Part | None, str]:
    """The only array that may be images by its shape."""
    likely = [key for key, array in stored.items() if len(array.shape) in (3, 4)]
    likely = likely or (list(stored) if len(stored) == 1 else [])
    if len(likely) != 1:
        raise UsageError(
            f"{path} holds {', '.join(f'{key} {array.shape}' for key, array in stored.items())}: "
            f"name the images `images`, with shape {AXES}, and the labels `labels`"
        )
    return {None: likely[0]}


def _few(stored: Stored) -> Array:
    """Labels, which are read as a whole."""
    if len(stored.shape) == 0 or stored.dtype.kind == "O":
        raise UsageError(f"{stored.name} is not a list of labels: expected integers or names; {WITHOUT}")
    return stored.whole()


def _given(key: str | None, values: Any, labels: Any) -> Piece:
    """The images of a split that are in memory."""
    name, other = ("images", "labels") if key is None else (f"images[{key!r}]", f"labels[{key!r}]")
    found = None if labels is None else _array(labels, other)
    return _piece(in_memory(_array(values, name), name), None, PARTS.get(key or ""), found)


def _piece(stored: Stored, path: Path | None, named: Part | None = None, labels: Given | None = None) -> Piece:
    """The images in an array, of which the digest is remembered if it is in a file."""
    found = understand(stored, path)

    def digest() -> str:
        with remembering(path, "arrays") as facts:
            return facts.recall(f"content {stored.name}", lambda: _digest(found))

    return Piece(stored.name, named, len(found), found.each, digest, labels)


def _array(values: Any, name: str) -> Array:
    """A numpy array of anything that can be made one, tensors on a GPU included."""
    try:
        return np.asarray(values.detach().cpu().numpy() if hasattr(values, "detach") else values)
    except (TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"{name}: no array can be made of them ({reason}): give images of one size and type") from None


def _digest(images: Images) -> str:
    """The hash of all pixels, the same however they are stored."""
    total = hasher(repr((len(images), images.size, images.bits)).encode())
    for block in images.blocks():
        total.update(block.data)
    return total.hexdigest()
