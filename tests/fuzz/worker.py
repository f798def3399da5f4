"""One process that fuzzes one target until its time is over, or until an input kills it.

What it is about to read lies in its home and in ``input``, and what it has done so far in ``tally.json``; so whoever
started it knows what a process was at that dies of a file, or that is ended by its own watchdog for taking too long.
"""

import argparse
import faulthandler
import hashlib
import json
import os
import random
import resource
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

SECONDS = 60
"""What reading one small file may take of a processor. Waiting may take ten times as long: the machine may be busy."""

ROOM = 1536 << 20
"""Bytes of address space that may be taken beyond what the process has when it begins."""

LARGEST = 1 << 18
"""Bytes of an input."""


class Worker:
    """Tries inputs and keeps what is found.

    Args:
        name: The target.
        folder: What the target leaves goes here.
        run: A finished run.
        again: Findings of another time, which are tried again.
    """

    def __init__(self, name: str, folder: Path, run: Path, again: Path) -> None:
        from tests.fuzz.judge import Acts
        from tests.fuzz.targets import TARGETS

        self.target, self.folder, self.home = TARGETS[name], folder, folder / "home"
        self.home.mkdir(parents=True, exist_ok=True)
        self.seeds = self.target.seeds(self.home, run)
        self.ways: set[str] = set()
        self.runs, self.told, self.begun = 0, 0.0, time.process_time()
        self.acts = Acts(self.home)
        self.watchdog = (folder / "watchdog").open("w")
        faulthandler.register(signal.SIGPROF, file=self.watchdog, chain=True)  # and then it ends the process
        for data in self.seeds:
            if len(data) > LARGEST:
                raise SystemExit(f"{name} begins with a file of {len(data):,} bytes: make it smaller")
            self.check(data)
            if "read" not in self.ways:  # else nothing behind that would be tried
                raise SystemExit(f"{name} refuses the valid file that it begins with: {self.ways}")
        known = {path.read_bytes() for path in (folder / "findings").glob("*")}
        for path in sorted(set(again.glob("*")) - set(again.glob("*.txt"))):
            if (data := path.read_bytes()) not in known:  # else it has just ended a process
                self.check(data)

    def check(self, data: bytes) -> bool:
        """Reads one input. Returns whether it ended as none before it."""
        from tests.fuzz.judge import judge

        data = data[:LARGEST]
        (self.folder / "input").write_bytes(data)
        faulthandler.dump_traceback_later(10 * SECONDS, exit=True, file=self.watchdog)
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        verdict = judge(self.target.at(self.home, data), self.acts)
        signal.setitimer(signal.ITIMER_PROF, 0)
        faulthandler.cancel_dump_traceback_later()
        self.runs += 1
        new = verdict.way not in self.ways
        if new:
            self.ways.add(verdict.way)
            if verdict.wrong:
                keep(self.folder / "findings", verdict.way, verdict.wrong, data)
        if new or time.monotonic() - self.told > 1:
            self.tell()
        return new

    def tell(self) -> None:
        """Writes down how far it is."""
        self.told = time.monotonic()
        tally = {"runs": self.runs, "seconds": time.process_time() - self.begun, "ways": sorted(self.ways)}
        (self.folder / "tally.json").write_text(json.dumps(tally))


def keep(folder: Path, way: str, wrong: str, data: bytes) -> None:
    """Keeps an input that shows something wrong, one for each way in which it may go wrong."""
    folder.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256(way.encode()).hexdigest()[:12]
    (folder / name).write_bytes(data)
    (folder / f"{name}.txt").write_text(f"{way}\n\n{wrong}\n", encoding="utf-8", errors="backslashreplace")


def limit_memory() -> None:
    """Gives this process little more address space than it has."""
    now = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (now + ROOM, now + ROOM))


def by_coverage(worker: Worker, seconds: int, corpus: Path, seed: int) -> None:
    """Lets libFuzzer choose inputs by what code they reach, half of them damaged as files are."""
    import atheris

    from tests.fuzz.mutations import damaged

    beginning = worker.folder / "seeds"
    beginning.mkdir(exist_ok=True)
    for k, data in enumerate(worker.seeds):
        (beginning / str(k)).write_bytes(data)

    def mutate(data: bytes, largest: int, seed: int) -> bytes:
        choice = random.Random(seed)
        if choice.random() < 0.5:
            return atheris.Mutate(data, largest)
        return damaged(data, worker.seeds, choice.randint)[:largest]

    flags = [
        f"-max_total_time={seconds}",
        f"-max_len={LARGEST}",
        f"-seed={seed % (1 << 32) or 1}",
        "-timeout=1200",
        "-rss_limit_mb=0",
        "-print_final_stats=1",
        "-len_control=0",
        "-verbosity=1",
    ]
    atheris.Setup(
        ["fuzz", *flags, str(corpus), str(beginning)], lambda data: _none(worker.check, data), custom_mutator=mutate
    )
    atheris.Fuzz()


def _none(check: Callable[[bytes], bool], data: bytes) -> None:
    check(data)


def by_damage(worker: Worker, seconds: int, corpus: Path, seed: int) -> None:
    """Damages valid files, and such as ended as none before them."""
    from tests.fuzz.mutations import damaged

    choice, end = random.Random(seed), time.monotonic() + seconds
    pool = [*worker.seeds, *(path.read_bytes() for path in sorted(corpus.iterdir()))]
    while time.monotonic() < end:
        data = damaged(choice.choice(pool), worker.seeds, choice.randint)[:LARGEST]
        if worker.check(data):
            pool.append(data)
            (corpus / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)


def main() -> None:
    """Runs a worker."""
    made = argparse.ArgumentParser()
    made.add_argument("name")
    made.add_argument("--folder", type=Path)
    made.add_argument("--corpus", type=Path)
    made.add_argument("--run", type=Path)
    made.add_argument("--again", type=Path)
    made.add_argument("--seconds", type=int)
    made.add_argument("--seed", type=int)
    made.add_argument("--engine", choices=["atheris", "damage"])
    asked = made.parse_args()
    if asked.engine == "atheris":
        import atheris

        with atheris.instrument_imports(include=["vaescope", "PIL", "yaml"], enable_loader_override=False):
            import tests.fuzz.targets
    import tests.fuzz.targets  # noqa: F401

    worker = Worker(asked.name, asked.folder, asked.run, asked.again)
    limit_memory()
    (by_coverage if asked.engine == "atheris" else by_damage)(worker, asked.seconds, asked.corpus, asked.seed)
    worker.tell()


if __name__ == "__main__":
    sys.exit(main())
