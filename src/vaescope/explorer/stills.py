"""Pictures that stand for a page where it cannot run: those of the run, made small."""

import io
from pathlib import Path
from typing import Any

from PIL import Image

from vaescope.explorer.blocks import Blocks
from vaescope.facts import sentence
from vaescope.pictures import CAPTIONS

STILL = ("latent_space.png", "latent_representation.png", "samples.png", "reconstructions.png")
"""Their names; the last one holds images of the image set."""

PAGE, NOTEBOOK = 640, 480
"""How wide they are in a page and in a notebook, in pixels."""


def add_stills(blocks: Blocks, folder: Path, with_images: bool) -> list[dict[str, str]]:
    """Adds them to a page as far as they are there, and says which are: see ``pictures`` in ``contents.ts``.

    Args:
        blocks: The blocks of the page.
        folder: The pictures of the run.
        with_images: Whether pictures of the image set may be among them.
    """
    found = [folder / name for name in STILL[: None if with_images else -1] if (folder / name).is_file()]
    for path in found:
        blocks.add(f"still_{path.stem}", smaller(path, PAGE, "WEBP", quality=20, method=6), "none")
    return [{"block": f"still_{path.stem}", "caption": sentence(CAPTIONS[path.name])} for path in found]


def smaller(path: Path, width: int, form: str, **options: Any) -> bytes:
    """A picture as the content of a file that is at most so wide.

    Args:
        path: The picture.
        width: In pixels.
        form: The format.
        options: How to write it.
    """
    with Image.open(path) as image:
        height = round(image.height * min(1, width / image.width))
        small = image.convert("RGB").resize((min(width, image.width), height), Image.Resampling.LANCZOS)
    if form == "PNG":  # sixteen colours take an eighth of the room
        small = small.quantize(16, dither=Image.Dither.NONE)
    file = io.BytesIO()
    small.save(file, form, **options)
    return file.getvalue()
