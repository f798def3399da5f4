"""``vaescope train``."""

import json
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from vaescope import config
from vaescope.cli.options import report
from vaescope.cli.progress import Bar, Download, display
from vaescope.data.images import OWN
from vaescope.data.sources import NAMED, find
from vaescope.errors import UsageError
from vaescope.run import Summary
from vaescope.run import train as train_run

RUNS = Path("runs")


def parser() -> ArgumentParser:
    """The parser: every key of a config, and where the run goes."""
    made = ArgumentParser(
        prog="vaescope train",
        description="Train a model as a config says, score it on the test images, and draw what it learned.",
        epilog="example: vaescope train --config configs/main.yaml --trainer.epochs 5 --model.init_args.latent 3",
        exit_on_error=False,
        allow_abbrev=False,
    )
    config.add_arguments(made)
    for action in made._actions:
        if action.dest == "data":  # see expand_data
            action.help, action.metavar = "The name of an image set, or a folder with its idx files.", "NAME_OR_FOLDER"
    made.add_argument("--out", type=Path | None, default=None, help="The run folder; by default a new one in runs/.")
    made.add_argument("--resume", type=Path | None, default=None, help="A run folder to go on with, as it was begun.")
    made.add_argument("--json", action="store_true", help="Print the summary as JSON on standard output.")
    return made


def train(words: Sequence[str]) -> int:
    """Runs ``vaescope train``. Returns the exit code."""
    made = parser()
    words = expand_data(words)
    parsed = config.parse(made, words)
    resume = parsed.pop("resume")
    out, as_json = parsed.pop("out"), parsed.pop("json")
    if resume is None:
        folder = out or free_folder(parsed)
        settings, text = config.build(made, parsed), dump(made, parsed)
    else:
        folder, settings, text = resume, resumed(resume, words), ""
    shown = display()
    with interruptions() as signals:
        try:
            summary = train_run(
                settings, text, folder, resume is not None, [shown], report, Download(), lambda: bool(signals)
            )
        finally:
            if isinstance(shown, Bar):
                shown.close()
    print(json.dumps(summary.record()) if as_json else describe(summary))
    return 128 + signals[0] if summary.outcome == "interrupted" else 0


def expand_data(words: Sequence[str]) -> list[str]:
    """Writes ``--data X`` out: a name is ``--data.name X``, a folder ``--data.root X``."""
    expanded: list[str] = []
    rest = iter(words)
    for word in rest:
        flag, _, value = word.partition("=")
        if flag != "--data":
            expanded.append(word)
            continue
        value = value or next(rest, "")
        if not value:
            raise UsageError(f"--data needs a name ({', '.join(NAMED)}, {OWN}) or a folder with idx files")
        folder = Path(value).is_dir()
        if not folder and "/" in value:
            raise UsageError(f"--data {value} is no folder: give one with idx files, or a name ({', '.join(NAMED)})")
        if not folder and value != OWN:
            find(value)
        expanded += ["--data.root" if folder else "--data.name", value]
    return expanded


def free_folder(parsed: Namespace) -> Path:
    """A run folder that does not exist yet, named after the config file: main, main-2, main-3 ..."""
    files = parsed.get("config") or []
    stem = Path(str(files[-1])).stem if files else "main"
    number = 1
    while True:
        folder = RUNS / (stem if number == 1 else f"{stem}-{number}")
        if not folder.exists():
            return folder
        number += 1


def dump(made: ArgumentParser, parsed: Namespace) -> str:
    """The config with every key written out, as YAML."""
    kept = parsed.clone()
    kept.pop("config", None)
    text: str = made.dump(kept, skip_unset=False)
    return "# Everything needed to repeat this run: vaescope train --config config.yaml\n" + text


def resumed(folder: Path, words: Sequence[str]) -> config.Config:
    """The config of a run that is to be gone on with; it cannot be changed.

    Raises:
        UsageError: If the folder is none of a run, or further keys are given.
    """
    allowed = {"--json", "--resume", f"--resume={folder}", str(folder)}
    others = [word for word in words if word not in allowed]
    if others:
        raise UsageError(f"--resume goes on with the run's own config, so {others[0]} cannot be given with it")
    if not (folder / "config.yaml").is_file():
        raise UsageError(f"{folder} is no run folder: it holds no config.yaml, so there is nothing to resume")
    return config.read(folder / "config.yaml")


@contextmanager
def interruptions() -> Iterator[list[int]]:
    """Gives a list to which SIGINT and SIGTERM are appended. A second signal stops at once."""
    seen: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield seen
        return

    def note(number: int, frame: object) -> None:
        if seen:
            raise KeyboardInterrupt
        seen.append(number)
        report("\nstopping after this step: writing a checkpoint and the pictures so far (again to stop at once)")

    old = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield seen
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def describe(summary: Summary) -> str:
    """The summary in a few lines, the paths last."""
    lines = [""]
    if summary.outcome == "interrupted":
        lines += [f"interrupted at step {summary.steps:,}; go on with: vaescope train --resume {summary.folder}"]
    if summary.test is not None:
        test = summary.test
        lines += [
            f"test −ELBO   {test.negative_elbo:.2f} ± {test.standard_error:.2f} nats per image "
            f"= distortion {test.distortion:.2f} + rate {test.rate:.2f}",
            f"protocol     {test.images:,} test {summary.protocol}",
        ]
    lines += [
        f"validation   {summary.validation:.2f} nats per image, at step {summary.best_step:,}: these weights were kept",
        f"training     {summary.seconds:.1f} s, {summary.images_per_second:,.0f} images/s, {summary.epochs:.1f} epochs "
        f"({summary.outcome}); drawing {summary.drawing_seconds:.1f} s",
        f"run folder   {summary.folder}",
    ]
    lines += [f"             {path}" for path in summary.figures]
    return "\n".join(lines)
