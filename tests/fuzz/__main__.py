"""``python -m tests.fuzz``: fuzzes every reader for a while, each in a process of its own, and says what it found.

With atheris installed (``pip install 'vaescope[fuzz]'``) inputs are chosen by the code that they reach, else by damage
that is done to valid files. Findings, and the corpus that the next time starts from, stay in ``.fuzz/``.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from tests.fuzz.worker import keep

ROOT = Path(__file__).parents[2]
STARTS = 12
"""How often a target that dies is started again in a minute of its time, at most."""


@dataclass
class Tally:
    """What came of one target."""

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
    made.add_argument("--minutes", type=float, default=10, help="how long in all, shared by the targets")
    made.add_argument("--target", action="append", choices=list(TARGETS), help="one of them; by default all")
    made.add_argument("--folder", type=Path, default=ROOT / ".fuzz", help="where the corpus and findings are kept")
    made.add_argument("--seed", type=int, default=0, help="gives other inputs")
    made.add_argument(
        "--engine", choices=["atheris", "damage"], default="atheris" if find_spec("atheris") else "damage"
    )
    asked = made.parse_args()
    names, place = asked.target or list(TARGETS), asked.folder.resolve()
    place.mkdir(parents=True, exist_ok=True)
    run, found = finished_run(place), 0
    print(f"{len(names)} targets, {asked.minutes:g} minutes, by {asked.engine}, kept in {place}")
    print(f"{'target':<22} {'inputs':>9} {'seconds':>8} {'code':>7} {'endings':>8} {'findings':>9}", flush=True)
    for name in names:
        tally = fuzz(name, 60 * asked.minutes / len(names), place, run, asked.engine, asked.seed)
        wrong = sorted((place / "findings" / name).glob("*.txt"))
        found += len(wrong)
        covered = f"{tally.covered:,}" if tally.covered else "-"
        print(f"{name:<22} {tally.runs:>9,} {tally.seconds:>8.0f} {covered:>7} {len(tally.ways):>8} {len(wrong):>9}")
        for path in wrong:
            print(f"    {path.read_text().splitlines()[0][:150]}\n        {path.with_suffix('')}", flush=True)
    print(f"{found} findings" if found else "nothing was found")
    return 1 if found else 0


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["TMPDIR"] = scratch
        sys.exit(main())
