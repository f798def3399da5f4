"""The page: a template, what it runs, and what it shows."""

import html
from importlib.resources import files
from pathlib import Path

from vaescope import __version__
from vaescope.data.fetch import Report, log
from vaescope.data.images import ImageSet
from vaescope.errors import RunError, UsageError
from vaescope.explorer.blocks import Blocks
from vaescope.explorer.gather import gather
from vaescope.explorer.points import MOST_LATENTS, MOST_POINTS, POINTS
from vaescope.explorer.programs import libraries, programs
from vaescope.facts import name_of, title_of
from vaescope.files import atomic_file
from vaescope.run import Run

FILE = "explorer.html"
"""What the page of a run is called in its folder."""

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'wasm-unsafe-eval' blob:; worker-src blob:; "
    "img-src data: blob:; style-src 'unsafe-inline'"
)
"""What the page may do: run its own scripts, and load nothing."""


def explorer_html(
    run: Run, points: int = POINTS, images: bool = True, data: ImageSet | None = None, report: Report = log
) -> str:
    """The explorer of a run, as the text of one HTML file.

    It shows what it can of a model that has no ONNX form, and says which of its layers has none.

    Args:
        run: The run.
        points: How many test images are shown at most, at equal distances.
        images: Whether pictures of the image set may be in it.
        data: The images of the run, where they are at hand.
        report: Is told in one line what is being done.

    Raises:
        UsageError: If its images are not on this machine, a library is missing, or the page would be too large.

    Example::

        Path("explorer.html").write_text(explorer_html(vs.load("runs/main")), encoding="utf-8")
    """
    check(run, points)
    libraries()
    known, blocks = data or run.data(report), Blocks()
    report("encoding the test images")
    contents = gather(run, known, blocks, points, images)
    report("exporting the model")
    try:
        for half, program in programs(run, known).items():
            blocks.add(half, program, "halves")
        blocks.add("worker", asset("worker.js"))
        blocks.add("runtime", asset("runtime.wasm.gz"), packed=True)
    except (UsageError, RunError) as error:
        contents["model"]["missing"] = " ".join(str(error).split())
    blocks.add("licences", asset("LICENSES"), "none")  # not packed, so that every browser can show them
    contents["arrays"] = blocks.layouts
    blocks.add_json("contents", contents)
    return filled(run, blocks)


def write_explorer(
    run: Run,
    path: Path,
    points: int = POINTS,
    images: bool = True,
    data: ImageSet | None = None,
    report: Report = log,
) -> Path:
    """Writes the explorer of a run, see :func:`explorer_html`: it is there when it is whole.

    Args:
        run: The run.
        path: The file.
        points: How many test images are shown at most.
        images: Whether pictures of the image set may be in it.
        data: The images of the run, where they are at hand.
        report: Is told in one line what is being done.
    """
    text = explorer_html(run, points, images, data, report)
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
    return path


def check(run: Run, points: int) -> None:
    """Refuses what no page can hold.

    Args:
        run: The run.
        points: How many test images are asked for.

    Raises:
        UsageError: For too many latents, or for too few points or too many.
    """
    if not isinstance(points, int) or isinstance(points, bool) or not 1 <= points <= MOST_POINTS:
        raise UsageError(f"{points} points given: give a whole number from 1 to {MOST_POINTS:,}")
    if run.model.prior.latent > MOST_LATENTS:
        raise UsageError(
            f"{run.folder} has {run.model.prior.latent:,} latents, and an explorer shows up to {MOST_LATENTS:,}: "
            f"a slider and a place on the map for each point and latent would be too much for a browser"
        )


def filled(run: Run, blocks: Blocks) -> str:
    """The page with its blocks in it.

    Args:
        run: The run.
        blocks: What it shows.
    """
    title = html.escape(f"{name_of(run)}: the latent space of {title_of(run)}")
    parts = "\n".join(blocks.texts.values())
    return (
        "<!doctype html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n"
        '<meta name=viewport content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv=Content-Security-Policy content="{POLICY}">\n'
        f'<meta name=generator content="vaescope {__version__}">\n<title>{title}</title>\n'
        f"<style>{asset('page.css').decode()}</style>\n</head>\n<body>\n"
        f"<header><h1>{title}</h1><p class=caption></p></header>\n"
        "<main id=app><p class=waiting>Reading the model ...</p></main>\n"
        "<noscript><p class=warning>This page runs the model in JavaScript, which is switched off.</p></noscript>\n"
        f"{parts}\n<script>{asset('page.js').decode()}</script>\n</body>\n</html>\n"
    )


def asset(name: str) -> bytes:
    """A file that the package ships."""
    return (files("vaescope.explorer") / "assets" / name).read_bytes()
