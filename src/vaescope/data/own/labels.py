"""Labels as users write them - numbers, or names of classes - as numbers 0 ... K - 1 with K names."""

from collections.abc import Sequence

import numpy as np

from vaescope.data.idx import Array
from vaescope.errors import UsageError
from vaescope.foreign import explained

Given = Array | Sequence[int | str | None]
"""Integers with shape (N,) or (N, 1), of which -1 stands for unknown, or names, of which None does."""

WITHOUT = "data.classes false leaves the labels out"


def number(given: Sequence[Given | None], where: object, names: Sequence[str] = ()) -> tuple[tuple[str, ...], list]:
    """Numbers the classes of all parts of a set together, in the order of their numbers or of their names.

    Args:
        given: The labels of each part, or nothing for a part without.
        where: What to call the set in an error.
        names: The names of the classes, if the set says them; labels are then their numbers.

    Returns:
        The names of the classes, and for each part int64 with shape (N,), -1 for unknown, or None.

    Raises:
        UsageError: For labels of another type or shape.
    """
    columns = [None if labels is None else _column(labels, where) for labels in given]
    values = {value for column in columns if column is not None for value in set(column.tolist())} - {-1, None}
    if names:
        _check_names(values, names, where)
        order = dict(zip(range(len(names)), names, strict=True))
    else:
        order = dict(zip(_sorted(values, where), map(str, _sorted(values, where)), strict=True))
    if not values:
        return (), [None] * len(columns)
    index = {value: k for k, value in enumerate(order)} | {-1: -1, None: -1}
    coded = [None if column is None else np.array([index[v] for v in column.tolist()], np.int64) for column in columns]
    return tuple(order.values()), coded


def alone(classes: Sequence[str], coded: Sequence[Array | None]) -> tuple[str, ...]:
    """The names of classes that have a single image.

    Args:
        classes: The names of the classes.
        coded: The labels of each part with shape (N,), -1 for unknown.
    """
    known = [labels[labels >= 0] for labels in coded if labels is not None]
    counts = np.bincount(np.concatenate([np.empty(0, np.int64), *known]), minlength=len(classes))
    return tuple(name for name, count in zip(classes, counts, strict=True) if count == 1)


def _column(labels: Given, where: object) -> Array:
    """Labels with shape (N,), as integers or as objects that are str or None."""
    column = labels if isinstance(labels, np.ndarray) else np.array(labels, object)
    if column.ndim == 2 and column.shape[1] == 1:
        column = column[:, 0]
    if column.ndim != 1:
        raise UsageError(f"{where} has labels of shape {column.shape}: expected one for each image, (N,); {WITHOUT}")
    if column.dtype.kind == "O":
        column = _from_objects(column, where)
    if column.dtype.kind in "SU":
        with explained(f"{where} has labels that are no text", WITHOUT):
            column = column.astype(str).astype(object)
    if column.dtype.kind not in "biuO":
        raise UsageError(f"{where} has labels of type {column.dtype}: expected integers or names; {WITHOUT}")
    return column if column.dtype.kind == "O" else _numbers(column, where)


def _from_objects(column: Array, where: object) -> Array:
    """Numbers if all are numbers, None as -1; else names."""
    values = column.tolist()
    if all(value is None or isinstance(value, int | np.integer) for value in values):
        return np.array([-1 if value is None else value for value in values])
    if strange := [value for value in values if not isinstance(value, str | None)]:
        raise UsageError(f"{where} has the label {strange[0]!r} among others: expected integers or names; {WITHOUT}")
    return column


def _numbers(column: Array, where: object) -> Array:
    if column.size and (int(column.min()) < -1 or int(column.max()) >= 2**63):
        low, high = int(column.min()), int(column.max())
        raise UsageError(f"{where} has labels from {low} to {high}: expected 0, 1, 2, ... or -1 for unknown; {WITHOUT}")
    return column.astype(np.int64)


def _sorted(values: set, where: object) -> list:
    if len({type(value) for value in values}) > 1:
        raise UsageError(f"{where} has both numbers and names as labels: give one kind; {WITHOUT}")
    return sorted(values)


def _check_names(values: set, names: Sequence[str], where: object) -> None:
    strange = [value for value in values if not isinstance(value, int) or value >= len(names)]
    if strange:
        raise UsageError(f"{where} has the label {strange[0]!r}, but names only {len(names)} classes: {WITHOUT}")
