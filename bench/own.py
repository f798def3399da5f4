r"""Times the first look at a folder of one's own pictures, and every later start of a training on it.

::

    python -m bench.own
    python -m bench.own --pictures 2000 --side 128

Pictures are made for it: soft colours with a little noise, in PNG files, so that they take as long to read as real
ones. Measured are, each in a process of its own with a cache of its own:

- how many pictures a second are decoded into an empty cache, from the opened folder to the whole entry, fingerprint
  included;
- the seconds from the start of the process to the first training step, with an empty cache and with a full one. The
  validation before that step is one of them: how long it takes is up to the network.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

DECODE = """
import sys, time
from pathlib import Path
from vaescope.data.cache import Division, prepared
from vaescope.data.own import open_source
from vaescope.data.pixels import Form
begun = time.perf_counter()
prepared(open_source(sys.argv[1]), Form(int(sys.argv[2]), int(sys.argv[2]), 3), Division(), False, None, str)
print(time.perf_counter() - begun)
"""

START = """
import os, sys, time
from vaescope import training
def step(self, *given):
    print(time.time() - float(sys.argv[2]), flush=True)
    os._exit(0)
training.Player.step = step
from vaescope.cli import main
main(["train", "--data", sys.argv[1], "--out", sys.argv[3], "--trainer.device", "cpu"])
"""


def draw(folder: Path, count: int, side: int) -> int:
    """Makes pictures. Returns their bytes."""
    from PIL import Image

    folder.mkdir()
    source = np.random.default_rng(0)
    for i in range(count):
        soft = Image.fromarray(source.integers(0, 256, (6, 6, 3), dtype=np.uint8)).resize((side, side))
        noisy = np.asarray(soft, np.int16) + source.integers(-6, 7, (side, side, 3), dtype=np.int16)
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / f"{i:06}.png")
    return sum(path.stat().st_size for path in folder.iterdir())


def seconds(code: str, cache: Path, *words: object) -> float:
    """What a process prints as its last word."""
    paths = os.environ | {"VAESCOPE_CACHE": str(cache)}
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, words)], env=paths, check=True, stdout=subprocess.PIPE, text=True,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    return float(done.stdout.split()[-1])


def started(cache: Path, pictures: Path, out: Path) -> float:
    """The seconds from the start of a process to its first training step."""
    return seconds(START, cache, pictures, time.time(), out)


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=10_000, help="how many pictures (10,000)")
    parser.add_argument("--side", type=int, default=64, help="their rows and columns (64)")
    parser.add_argument("--rounds", type=int, default=3, help="times that everything is measured (3)")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        size = draw(root / "pictures", asked.pictures, asked.side)
        rows: dict[str, list[float]] = {"decoded, pictures/s": [], "first start, s": [], "later start, s": []}
        for k in range(asked.rounds):
            decoding = seconds(DECODE, root / f"decode-{k}", root / "pictures", asked.side)
            rows["decoded, pictures/s"].append(asked.pictures / decoding)
            for name in ("first start, s", "later start, s"):
                rows[name].append(started(root / f"start-{k}", root / "pictures", root / f"{name}-{k}"))
    print(f"{asked.pictures:,} PNG of {asked.side}x{asked.side} RGB, {size / 1e6:.0f} MB, {os.cpu_count()} processors")
    print(f"{'':<22}{'median':>9}{'least':>9}{'most':>9}")
    for name, found in rows.items():
        print(f"{name:<22}{np.median(found):>9,.1f}{min(found):>9,.1f}{max(found):>9,.1f}")


if __name__ == "__main__":
    main()
