r"""What the explorer of a run costs: bytes, seconds to write, and how soon and how smoothly it answers in Chromium.

::

    python -m bench.explorer runs/main                # the table below, printed
    python -m bench.explorer runs/main runs/conv      # side by side
    python -m bench.explorer runs/main --page x.html  # a page that is there already, instead of writing one

Chromium runs without a window and without a graphics card, so that WebGL is drawn by the processor, which the page
avoids if nobody tells it otherwise: with a graphics card frames come sooner. Every time is the median of some
repetitions, with the least and the most of them.

- *first picture*: from the navigation until the decoder has drawn its first image, of a file on this machine
- *decode*: from the question for one image until its pixels are there, for latents that are drawn from the prior
- *panning*: pictures of the screen in a second while the map moves at every one, 60 at most
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bench.recipes import machine
from tests.browser import RENDERERS, WEBGL, Chromium, chromium
from vaescope.explorer import explorer_html
from vaescope.run import Run

WATCH = """
const put = CanvasRenderingContext2D.prototype.putImageData
CanvasRenderingContext2D.prototype.putImageData = function (...given) {
  globalThis.drawn ??= performance.now()
  return put.apply(this, given)
}
"""
"""Notes when the first picture that was computed is drawn."""

DECODE = """
const normal = () => Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random())
const times = []
for (let k = 0; k < given[0]; k++) {
  const z = Float32Array.from({length: data.latents}, normal)
  const begun = performance.now()
  await engine.decode(z, 'bench', 0)
  times.push(performance.now() - begun)
}
return times
"""

PAN = """
store.set({tool: 'pan', tab: 'decode'})
const begun = performance.now()
let count = 0
for (; performance.now() - begun < given[0]; count++) {
  map.pan(count % 60 < 30 ? 6 : -6, count % 40 < 20 ? 4 : -4)
  await new Promise(requestAnimationFrame)
}
return 1000 * count / (performance.now() - begun)
"""

PARTS = {"runtime": "runtime", "decoder": "decoder", "encoder": "encoder", "worker": "page"}
"""What a block belongs to, by its name. Others are arrays, and pictures where their names end in a number."""


def sizes(page: Path) -> dict[str, float]:
    """The megabytes of a page by part."""
    text = page.read_text(encoding="utf-8")
    found = dict.fromkeys(("whole", "runtime", "decoder", "encoder", "pictures", "numbers", "page"), 0)
    found["whole"] = len(text.encode())
    for block in text.split('id="block-')[1:]:
        name, _, rest = block.partition('"')
        part = PARTS.get(name, "pictures" if name[-1].isdigit() else "numbers")
        found[part] += len(rest.partition("</script>")[0].encode())
    found["page"] += 2 * found["whole"] - sum(found.values())
    return {part: size / 1e6 for part, size in found.items()}


@contextmanager
def browser() -> Iterator[Chromium]:
    """Chromium, or a word on why there is none."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        try:
            with chromium(Path(folder)) as window:
                yield window
        except pytest.skip.Exception as reason:
            raise SystemExit(reason.msg) from None


def timed(page: Path, repeat: int) -> dict[str, list[float]]:
    """How soon and how smoothly a page answers."""
    times: dict[str, list[float]] = {"first picture, s": []}
    with browser() as window:
        for _ in range(repeat):
            window.open(page, before=WATCH)
            times["first picture, s"].append(window.wait("return globalThis.drawn") / 1000)
        window.run(DECODE, 20)  # the first ones are slower
        times["decode, ms"] = window.run(DECODE, 100 * repeat)
        for renderer, name in {"webgl": "WebGL by the processor", "flat": "without WebGL"}.items():
            window.open(page, before=RENDERERS[renderer])
            window.run(PAN, 500)
            assert window.run(WEBGL) == (renderer == "webgl")
            times[f"panning {name}, frames/s"] = [window.run(PAN, 2000) for _ in range(repeat)]
    return times


def measured(folder: Path, page: Path | None, repeat: int) -> dict[str, Any]:
    """Everything about the page of a run."""
    run = Run.load(folder)
    with tempfile.TemporaryDirectory() as made:
        written, begun = page or Path(made) / "explorer.html", time.perf_counter()
        if page is None:
            written.write_text(explorer_html(run), encoding="utf-8")
        seconds = {} if page else {"writing, s": [time.perf_counter() - begun]}
        parts = {f"{part}, MB": [size] for part, size in sizes(written).items()}
        return {"run": folder.name, **parts, **seconds, **timed(written, repeat)}


def said(values: list[float]) -> str:
    """The median of some numbers, with the least and the most of them."""
    middle = f"{statistics.median(values):.2f}"
    return middle if len(values) == 1 else f"{middle} ({min(values):.2f} to {max(values):.2f})"


def table(results: list[dict[str, Any]]) -> Iterable[str]:
    """The lines of the table: a row for each quantity, a column for each run."""
    yield "| | " + " | ".join(result["run"] for result in results) + " |"
    yield "|" + " --- |" * (1 + len(results))
    for name in list(results[0])[1:]:
        yield f"| {name} | " + " | ".join(said(result[name]) for result in results) + " |"


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="folders of runs")
    parser.add_argument("--page", type=Path, help="the page of the one run, if it is not to be written")
    parser.add_argument("--repeat", type=int, default=5, help="repetitions of what is timed (5)")
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")
    asked = parser.parse_args()
    results = [measured(folder, asked.page, asked.repeat) for folder in asked.runs]
    print(json.dumps(results) if asked.json else "\n".join([f"On {machine()}:", "", *table(results)]))


if __name__ == "__main__":
    main()
