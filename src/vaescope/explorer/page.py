"""The page: a template, what it runs, and what it shows."""

import html
from importlib.resources import files

from vaescope import __version__
from vaescope.explorer.blocks import Blocks
from vaescope.explorer.gather import gather
from vaescope.explorer.programs import programs
from vaescope.facts import name_of, title_of
from vaescope.run import Run

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'wasm-unsafe-eval' blob:; worker-src blob:; "
    "img-src data: blob:; style-src 'unsafe-inline'"
)
"""What the page may do: run its own scripts, and load nothing."""


def explorer_html(run: Run, points: int = 10_000, images: bool = True) -> str:
    """The explorer of a run, as the text of one HTML file.

    Args:
        run: The run. Its images have to be there.
        points: How many test images are shown at most, at equal distances.
        images: Whether pictures of the image set may be in it.

    Raises:
        UsageError: If the images are not there, or a library is missing.
    """
    blocks = Blocks()
    contents = gather(run, blocks, points, images)
    for half, program in programs(run).items():
        blocks.add(half, program)
    blocks.add("worker", asset("worker.js"))
    blocks.add("runtime", asset("runtime.wasm.gz"), packed="gzip")
    contents["arrays"] = blocks.layouts
    blocks.add_json("contents", contents)
    title = html.escape(f"{name_of(run)}: the latent space of {title_of(run)}")
    policy = f'<meta http-equiv=Content-Security-Policy content="{POLICY}">'
    return (
        "<!doctype html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n"
        f'<meta name=viewport content="width=device-width, initial-scale=1">\n{policy}\n'
        f"<meta name=generator content=\"vaescope {__version__}\">\n<title>{title}</title>\n"
        f"<style>{asset('page.css').decode()}</style>\n</head>\n<body>\n"
        f"<header><h1>{title}</h1><p class=caption></p></header>\n<main id=app><p class=waiting>Reading the model ...</p></main>\n"
        + "\n".join(blocks.texts.values())
        + f"\n<script>{asset('page.js').decode()}</script>\n</body>\n</html>\n"
    )


def asset(name: str) -> bytes:
    """A file that the package ships."""
    return (files("vaescope.explorer") / "assets" / name).read_bytes()
