"""``python -m tests.fuzz``: fuzzes every reader for a while, each in a process of its own, and says what it found.

With atheris installed (``pip install 'vaescope[fuzz]'``) inputs are chosen by the code that they reach, else by damage
that is done to valid files. In ``.fuzz/`` stay the corpus that the next time starts from, findings, which
are tried again then, and how long each reader was fuzzed so far: time goes to those that had least of it.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from tests.fuzz.worker import keep

ROOT = Path(__file__).parents[2]
STARTS = 12
"""How often a target that dies is started again in a minute of its time, at most."""

TURN = 120
"""Seconds that a target has before it is the turn of another."""


@dataclass
class Tally:
    """What came of one target.

    Args:
        runs: How many inputs were read.
        seconds: How long that took, in seconds of a processor.
        ways: How reading ended.
        covered: What atheris counts of code.
        died: How many processes an input has ended.
    """

    runs: int = 0
    seconds: float = 0.0
    ways: set[str] = field(default_factory=set)
    covered: int = 0
    died: int = 0

    def add(self, folder: Path, log: str) -> None:
        """Adds what a worker has written down."""
        path = folder / "tally.json"
        if path.exists():
            told = json.loads(path.read_text())
            self.runs, self.seconds = self.runs + told["runs"], self.seconds + told["seconds"]
            self.ways |= set(told["ways"])
            path.unlink()
        self.covered = max([self.covered, *map(int, re.findall(r"cov: (\d+)", log))])

    def join(self, other: "Tally") -> None:
        """Adds another turn of the same target."""
        self.runs += other.runs
        self.seconds += other.seconds
        self.died += other.died
        self.ways |= other.ways
        self.covered = max(self.covered, other.covered)


def fuzz(name: str, seconds: float, place: Path, run: Path, engine: str, seed: int) -> Tally:
    """Fuzzes one target for so many seconds, and starts it again when an input has killed it."""
    tally, end, folder = Tally(), time.monotonic() + seconds, place / "work" / name
    corpus, findings = place / "corpus" / name, folder / "findings"
    shutil.rmtree(folder, ignore_errors=True)
    for made in (corpus, findings):
        made.mkdir(parents=True, exist_ok=True)
    while (left := int(end - time.monotonic())) > 0 and tally.died <= max(STARTS, STARTS * seconds / 60):
        seed += 1
        command = [
            sys.executable,
            "-m",
            "tests.fuzz.worker",
            name,
            "--folder",
            folder,
            "--corpus",
            corpus,
            "--run",
            run,
            "--again",
            place / "findings" / name,
            "--seconds",
            left,
            "--seed",
            seed,
            "--engine",
            engine,
        ]
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "VAESCOPE_CACHE": str(folder / "home" / "cache"),
            "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
        }
        with (folder / "log").open("w+") as out:
            code = subprocess.run([*map(str, command)], stdout=out, stderr=out, cwd=ROOT, env=environment).returncode
            out.seek(0)
            log = out.read()[-200_000:]
        tally.add(folder, log)
        if code:
            tally.died += 1
            last = folder / "input"
            why = (folder / "watchdog").read_text() if (folder / "watchdog").exists() else ""
            if not last.exists():
                raise SystemExit(f"{name} cannot be started:\n{log[-3000:]}")
            way = f"took too long: {inmost(why)}" if why else f"died with {code}: {log[-300:]}"
            keep(findings, way, f"{why}\n{log[-3000:]}", last.read_bytes())
    kept = place / "findings" / name
    shutil.rmtree(kept, ignore_errors=True)
    if any(findings.iterdir()):
        shutil.copytree(findings, kept)
    shutil.rmtree(folder, ignore_errors=True)
    return tally


class Rota:
    """Whose turn it is: that of the reader which was fuzzed least so far and is not being fuzzed.

    Args:
        path: Where it is kept how long each was fuzzed, in seconds of a processor, and with how many inputs.
        names: The readers.
    """

    def __init__(self, path: Path, names: list[str]) -> None:
        self.path, self.waiting, self.lock = path, list(names), threading.Lock()
        self.so_far = json.loads(path.read_text()) if path.exists() else {}
        self.now = {name: Tally() for name in names}

    def next(self) -> str:
        """Takes one, which has to come :meth:`back`."""
        with self.lock:
            name = min(self.waiting, key=self.seconds)
            self.waiting.remove(name)
        return name

    def back(self, name: str, tally: Tally) -> None:
        """Adds what came of a turn."""
        with self.lock:
            self.waiting.append(name)
            self.now[name].join(tally)
            before = self.so_far.get(name, {"seconds": 0, "runs": 0})
            self.so_far[name] = {key: before[key] + getattr(tally, key) for key in before}
            new = self.path.with_suffix(".new")
            new.write_text(json.dumps(self.so_far, indent=1))
            new.replace(self.path)

    def seconds(self, name: str) -> float:
        """How long one was fuzzed so far."""
        return float(self.so_far.get(name, {"seconds": 0})["seconds"])


def inmost(trace: str) -> str:
    """Where the thread was that took too long: the innermost function of ours."""
    main = trace.rpartition("most recent call first")[2]
    return next((line.strip() for line in main.splitlines() if "/vaescope/" in line), "nowhere")


def finished_run(place: Path) -> Path:
    """A small run, made anew: one of another version may be refused from the beginning."""
    folder = place / "run"
    shutil.rmtree(folder, ignore_errors=True)
    command = [
        "-m",
        "vaescope",
        "train",
        "--data",
        "sample",
        "--trainer.batch_size",
        "20",
        "--trainer.device",
        "cpu",
        "--model.network.width",
        "2",
        "--figures.frames",
        "3",
        "--figures.explorer",
        "false",
        "--trainer.epochs",
        "1",
        "--out",
        str(folder),
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, *command], check=True, capture_output=True, env=environment)
    shutil.rmtree(folder / "figures")
    return folder


def main() -> int:
    """Fuzzes all targets that are asked for."""
    from tests.fuzz.targets import TARGETS

    made = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.partition("\n\n")[0])
    made.add_argument("--minutes", type=float, default=10, help="how long in all, shared by the targets (10)")
    made.add_argument("--workers", type=int, default=1, help="how many at once (1)")
    made.add_argument("--target", action="append", choices=list(TARGETS), help="one of them; by default all")
    made.add_argument("--folder", type=Path, default=ROOT / ".fuzz", help="where the corpus and findings are kept")
    made.add_argument("--seed", type=int, default=0, help="gives other inputs")
    made.add_argument(
        "--engine", choices=["atheris", "damage"], default="atheris" if find_spec("atheris") else "damage"
    )
    asked = made.parse_args()
    names, place = asked.target or list(TARGETS), asked.folder.resolve()
    place.mkdir(parents=True, exist_ok=True)
    run, rota = finished_run(place), Rota(place / "tally.json", names)
    print(f"{len(names)} targets, {asked.minutes:g} minutes, by {asked.engine}, kept in {place}", flush=True)
    workers, end = min(asked.workers, len(names)), time.monotonic() + 60 * asked.minutes
    turn = max(1.0, min(TURN, 60 * asked.minutes * workers / len(names)))

    def work() -> None:
        while (left := end - time.monotonic()) > 0:
            name = rota.next()
            seed = asked.seed + int(1000 * rota.seconds(name))
            rota.back(name, fuzz(name, min(turn, left), place, run, asked.engine, seed))

    with ThreadPoolExecutor(workers) as pool:
        for done in [pool.submit(work) for _ in range(workers)]:
            done.result()
    print(f"{'target':<22} {'inputs':>9} {'seconds':>8} {'in all':>8} {'code':>7} {'endings':>8} {'findings':>9}")
    found = 0
    for name, tally in rota.now.items():
        wrong = sorted((place / "findings" / name).glob("*.txt"))
        found += len(wrong)
        covered = f"{tally.covered:,}" if tally.covered else "-"
        print(
            f"{name:<22} {tally.runs:>9,} {tally.seconds:>8.0f} {rota.seconds(name):>8.0f} {covered:>7} "
            f"{len(tally.ways):>8} {len(wrong):>9}"
        )
        for path in wrong:
            print(f"    {path.read_text().splitlines()[0][:150]}\n        {path.with_suffix('')}")
    print(f"{found} findings" if found else "nothing was found")
    return 1 if found else 0


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["TMPDIR"] = scratch
        sys.exit(main())
