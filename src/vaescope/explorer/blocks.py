"""Blocks of bytes within a page, and arrays as such blocks.

An array whose range is known is written as whole numbers of one or two bytes that divide the range: a picture has few
pixels, and latents need not be known better than a thousandth of their spread.

Weights of two bytes are compressed as two halves, all first bytes before all second ones: the sign and the size of a
weight are in one of them, where they repeat, and what looks like noise is in the other.
"""

import base64
import gzip
import json
import math
import re
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

Array = np.ndarray

Kind = Literal["u8", "u16", "f32"]
TYPES: dict[Kind, str] = {"u8": "<u1", "u16": "<u2", "f32": "<f4"}

Packing = Literal["gzip", "halves", "none"]
"""How the bytes of a block are compressed: as they are, as two halves, or not, as pictures are already."""

UNKNOWN = np.iinfo(np.uint16).max
"""Stands for the class of an image that has none."""


@dataclass
class Blocks:
    """The blocks of a page.

    Args:
        texts: Each as an element of HTML, by its name.
        layouts: How the arrays among them lie in their bytes, as the page is told.
    """

    texts: dict[str, str] = field(default_factory=dict)
    layouts: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, name: str, content: bytes, packing: Packing = "gzip", packed: bool = False) -> None:
        """Adds bytes.

        Args:
            name: What the page calls them.
            content: The bytes.
            packing: How they are to be compressed.
            packed: Whether they are already.
        """
        if packing != "none" and not packed:
            halves = content[::2] + content[1::2] if packing == "halves" else content
            content = gzip.compress(halves, 9, mtime=0)  # the same bytes whenever it is made
        mark = "" if packing == "none" else f" data-packed={packing}"
        text = base64.b64encode(content).decode()
        self.texts[name] = f'<script type="application/octet-stream" id="block-{name}"{mark}>{text}</script>'

    def add_array(self, name: str, values: Array, kind: Kind) -> None:
        """Adds numbers as they are.

        Args:
            name: What the page calls them.
            values: The numbers.
            kind: The type to write them in.
        """
        self.add(name, values.astype(TYPES[kind]).tobytes())
        self.layouts[name] = {"type": kind, "shape": list(values.shape)}

    def add_classes(self, name: str, labels: Array) -> None:
        """Adds the numbers of classes, -1 where there is none."""
        self.add_array(name, np.where(labels < 0, UNKNOWN, labels), "u16")

    def add_range(
        self, name: str, values: Array, kind: Literal["u8", "u16"] = "u16", log: bool = False, steps: bool = False
    ) -> None:
        """Adds numbers as shares of the range of each column.

        Args:
            name: What the page calls them.
            values: The numbers, with shape (..., D), or (N,) for one range of all.
            kind: The type to write the shares in.
            log: Whether the range is of their logarithms.
            steps: Whether to write the differences along the first axis, which take less room where these are small.
        """
        rows = values.reshape(-1, values.shape[-1] if values.ndim > 1 else 1).astype(np.float64)
        rows = np.log(rows.clip(1e-12)) if log else rows
        low, high = rows.min(0), rows.max(0)
        shares = (rows - low) / np.where(high > low, high - low, 1)
        whole = (shares * np.iinfo(TYPES[kind]).max).round().reshape(values.shape).astype(TYPES[kind])
        self.add_array(name, np.concatenate([whole[:1], np.diff(whole, axis=0)]) if steps else whole, kind)
        told = {"log": True} if log else {}
        self.layouts[name] |= {"low": short(low), "high": short(high)} | told | ({"steps": True} if steps else {})

    def add_json(self, name: str, value: object) -> None:
        """Adds what JSON can hold."""
        text = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
        self.texts[name] = f'<script type="application/json" id="block-{name}">{text}</script>'


def short(values: Array) -> list[Any]:
    """Numbers with six digits, in lists as they are in the array; nothing where one is not finite."""
    if values.ndim > 1:
        return [short(row) for row in values]
    return [float(f"{value:.6g}") if math.isfinite(value) else None for value in values.tolist()]


def sizes(page: str) -> dict[str, int]:
    """How many bytes each block of a page takes, by its name, and the rest of it, as ``page``.

    Args:
        page: The text of the page.
    """
    blocks = re.finditer(r'<script type="[^"]*" id="block-(\w+)"[^>]*>[^<]*</script>', page)
    found = {block[1]: len(block[0].encode()) for block in blocks}
    return found | {"page": len(page.encode()) - sum(found.values())}
