"""``vaescope explore``: a trained model as a page to walk in."""

import webbrowser
from collections.abc import Sequence
from pathlib import Path

from vaescope.cli.options import Parser, output, positive, report, writing
from vaescope.explorer import FILE, POINTS, write_explorer
from vaescope.run import Run
from vaescope.terminal import say


def explore(words: Sequence[str]) -> int:
    """Runs ``vaescope explore``."""
    made = Parser(
        "Write a page in which the model runs: one HTML file that any browser of 2023 or later opens, without network\n"
        "or vaescope. It shows where the test images are, decodes whatever is under the pointer, and much more. It\n"
        "holds the weights of the model, the latents of these images and small pictures of them.",
        "vaescope explore runs/main --open",
        "vaescope explore",
    )
    made.add_argument("run", type=Path, help="the run folder")
    made.add_argument("--points", type=positive, default=POINTS, help=f"test images to show at most ({POINTS:,})")
    made.add_argument("--no-images", action="store_true", help="leave the pictures of the image set out")
    made.add_argument("-o", "--out", type=Path, help=f"a .html file (RUN/{FILE})")
    made.add_argument("--open", action="store_true", help="show it in a browser")
    asked = made.parse_args(words)
    run = Run.load(asked.run)
    out = output(asked.out or run.folder / FILE, (".html",))
    with writing(out):
        write_explorer(run, out, asked.points, not asked.no_images, report=report)
    say(out)
    if asked.open:
        webbrowser.open(out.resolve().as_uri())
    return 0
