"""How long writing ``explorer.html`` takes, and how large it becomes.

``python -m bench.explorer`` measures how soon and how smoothly that page answers, in Chromium.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from bench.explorer import sizes
from bench.measure import ROOT, Asked, Table, interleaved, median
from vaescope.run import Run

FEW = 100
"""Steps of training before it: the model need not be good."""


def measure(asked: Asked) -> list[Table]:
    """The seconds to write the page of a run with the default figures, within a process and with all imports."""
    table = Table("Writing explorer.html", ["way", "seconds", "least to most"])
    with tempfile.TemporaryDirectory() as scratch:
        folder = trained(Path(scratch) / "run", asked)
        page, data = folder / "explorer.html", Run.load(folder).data(lambda line: None)

        def within() -> None:
            from vaescope.explorer import write_explorer

            write_explorer(Run.load(folder), page, data=data)

        def command() -> None:
            subprocess.run(
                [sys.executable, "-m", "vaescope", "explore", str(folder)], check=True, cwd=ROOT, capture_output=True
            )

        asked.say("explorer: writing the page")
        ways = {"at the end of training": within} | ({} if asked.quick else {"`vaescope explore RUN`": command})
        seconds = interleaved(ways, 1 if asked.quick else max(5, asked.blocks), asked)
        parts = sizes(page)
    for name, times in seconds.items():
        table.rows.append([name, median(times), f"{min(times):.1f} to {max(times):.1f}"])
    large = ", ".join(f"{part} {size:.1f}" for part, size in parts.items() if part != "whole")
    table.notes.append(
        f"Of `main`, with 72 frames. The command imports torch and reads the images too. The page has "
        f"{parts['whole']:.1f} MB: {large}."
    )
    table.data |= {"seconds": seconds, "megabytes": parts}
    return [table]


def trained(folder: Path, asked: Asked, *words: str) -> Path:
    """A run of the default config, by default with few steps and without its page."""
    asked.say("training a run to look at")
    words = words or ("--trainer.steps", str(FEW))
    command = [sys.executable, "-m", "vaescope", "train", "--config", "configs/main.yaml", "--out", str(folder)]
    command += [*words, "--figures.explorer", "false", *(["--data.root", asked.root] if asked.root else [])]
    subprocess.run(command, check=True, cwd=ROOT, capture_output=True, timeout=300)
    return folder
