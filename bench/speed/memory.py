"""How much memory a process takes at its peak, for training, scoring, encoding and for a set that is read from disk.

Every peak is that of a process of its own, as the system counts it (``VmHWM`` of Linux: code of libraries included).
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench.measure import ROOT, Asked, Table

SIDE, COUNT = 64, 30_000
"""Of the set that is read from disk: colour images of so many pixels a side, 369 MB in all."""

MIB = 1 << 20


def measure(asked: Asked) -> list[Table]:
    """The peak of each kind of work, the larger one of two processes."""
    if not Path("/proc/self/status").exists():
        raise SystemExit("peaks of memory are read from /proc, which only Linux has")
    repeat = 1 if asked.quick else 2
    table = Table("Memory", ["what", "peak, MiB", "above the imports, MiB"])
    floor = 0.0
    for name in WORK:
        asked.say(f"memory: {name}")
        peaks = [peak(name, asked) for _ in range(repeat)]
        floor = floor or max(peaks)
        table.rows.append([name, round(max(peaks)), round(max(peaks) - floor)])
        table.data[name] = peaks
    table.notes.append(
        f"The larger peak of two processes. The set that is read from disk holds {COUNT:,} colour images of {SIDE} "
        f"pixels a side, {COUNT * SIDE**2 * 3 / MIB:.0f} MiB; pages of a file that is mapped are counted too."
    )
    return [table]


def peak(name: str, asked: Asked) -> float:
    """The peak of a process that does one kind of work, in MiB."""
    command = [sys.executable, "-m", "bench.speed.memory", name, *(["--root", asked.root] if asked.root else [])]
    command += ["--quick"] if asked.quick else []
    done = subprocess.run(command, check=True, cwd=ROOT, capture_output=True, text=True, timeout=300)
    return float(json.loads(done.stdout.splitlines()[-1]))


def most() -> float:
    """The most memory that this process has had, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def imports(asked: Asked) -> None:
    """Nothing but the imports of training."""
    import vaescope.experiment  # noqa: F401


def training(*words: str) -> Callable[[Asked], None]:
    """Some steps of a config."""

    def work(asked: Asked) -> None:
        from bench.measure import state

        _, begun = state(words, asked.root)
        for _ in range(5 if asked.quick else 50):
            begun.advance()

    return work


def scoring(asked: Asked) -> None:
    """The importance weighted bound of 100 test images with 1,000 draws, and -ELBO of all."""
    from bench.speed.evaluation import test_examples
    from vaescope.metrics import importance_bound, negative_elbo

    model, examples = test_examples("latent32", asked.root)
    negative_elbo(model, examples)
    importance_bound(model, examples[:100], 100 if asked.quick else 1000)


def encoding(asked: Asked) -> None:
    """The centres of 10,000 images, by convolutions."""
    from bench.speed.evaluation import test_examples
    from vaescope.models import encode

    encode(*test_examples("conv", asked.root))


def streaming(memory: int) -> Callable[[Asked], None]:
    """Steps on a set of generated pictures, kept in memory up to some MiB."""

    def work(asked: Asked) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            path = generated(Path(scratch) / "images.npy", COUNT // 10 if asked.quick else COUNT)
            words = ["--config", "configs/conv.yaml", "--data.name", "images", "--data.root", str(path)]
            words += ["--data.cache", str(Path(scratch) / "cache"), "--data.memory", str(memory)]
            subprocess.run([sys.executable, "-c", DECODE, *words], check=True, cwd=ROOT, timeout=300)
            training(*words)(Asked(quick=asked.quick))

    return work


DECODE = "import sys; from bench.measure import state; state(sys.argv[1:])"
"""Decodes the images beforehand, in another process: that is done once."""


def generated(path: Path, count: int) -> Path:
    """Writes an array of random pictures, a thousand at a time."""
    import numpy as np

    random = np.random.default_rng(0)
    images = np.lib.format.open_memmap(path, "w+", np.uint8, (count, SIDE, SIDE, 3))
    for start in range(0, count, 1000):
        images[start : start + 1000] = random.integers(0, 256, images[start : start + 1000].shape, np.uint8)
    images.flush()
    return path


WORK: dict[str, Callable[[Asked], None]] = {
    "imports alone": imports,
    "training, `main` (MLP)": training("--config", "configs/main.yaml"),
    "training, `conv`": training("--config", "configs/conv.yaml"),
    "scoring, `latent32`: −ELBO of the test images, 1,000 draws each of 100": scoring,
    "encoding 10,000 images, `conv`": encoding,
    "training, `conv`, set in memory": streaming(1 << 20),
    "training, `conv`, set read from disk": streaming(0),
}
"""Every kind of work, by its name."""


def main() -> None:
    """Does one kind of work, and prints the peak of this process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=list(WORK))
    parser.add_argument("--root")
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    WORK[given.name](Asked(given.root, quick=given.quick))
    print(json.dumps(most()))


if __name__ == "__main__":
    main()
