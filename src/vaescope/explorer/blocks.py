"""Blocks of bytes within a page, and arrays as such blocks.

An array whose range is known is written as whole numbers of one or two bytes that divide the range: a picture has few
pixels, and latents need not be known better than a thousandth of their spread.
"""

import base64
import gzip
import json
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

Array = np.ndarray

Kind = Literal["u8", "u16", "u32", "f32"]
TYPES: dict[Kind, str] = {"u8": "<u1", "u16": "<u2", "u32": "<u4", "f32": "<f4"}


@dataclass
class Blocks:
    """The blocks of a page.

    Args:
        texts: Each as an element of HTML, by its name.
        layouts: How the arrays among them lie in their bytes, as the page is told.
    """

    texts: dict[str, str] = field(default_factory=dict)
    layouts: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, name: str, content: bytes, packed: Literal["gzip", "pack", "none"] = "pack") -> None:
        """Adds bytes.

        Args:
            name: What the page calls them.
            content: The bytes.
            packed: Whether they are compressed already, are to be, or are neither (as pictures are).
        """
        if packed == "pack":
            content = gzip.compress(content, 9, mtime=0)  # the same bytes whenever it is made
        mark = "" if packed == "none" else " data-packed=gzip"
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

    def add_range(self, name: str, values: Array, kind: Literal["u8", "u16"] = "u16", log: bool = False) -> None:
        """Adds numbers as shares of the range of each column.

        Args:
            name: What the page calls them.
            values: The numbers, with shape (..., D), or (N,) for one range of all.
            kind: The type to write the shares in.
            log: Whether the range is of their logarithms.
        """
        rows = values.reshape(-1, values.shape[-1] if values.ndim > 1 else 1).astype(np.float64)
        rows = np.log(rows.clip(1e-12)) if log else rows
        low, high = rows.min(0), rows.max(0)
        most = np.iinfo(TYPES[kind]).max
        shares = (rows - low) / np.where(high > low, high - low, 1)
        self.add(name, (shares * most).round().astype(TYPES[kind]).tobytes())
        self.layouts[name] = {"type": kind, "shape": list(values.shape), "low": low.tolist(), "high": high.tolist()}
        if log:
            self.layouts[name]["log"] = True

    def add_json(self, name: str, value: object) -> None:
        """Adds what JSON can hold."""
        text = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
        self.texts[name] = f'<script type="application/json" id="block-{name}">{text}</script>'
