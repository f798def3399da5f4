"""``vaescope train``."""

import hashlib
import json
import signal
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace

from vaescope import config
from vaescope.card import Summary
from vaescope.cli.options import report
from vaescope.progress import Bar, Download, display
from vaescope.data.dataset import HUB, OWN
from vaescope.data.fetch import locate
from vaescope.data.idx import read_bytes
from vaescope.data.images import OWN as IDX
from vaescope.data.own import open_source
from vaescope.data.sources import FILE_NAMES, NAMED, find, recognise
from vaescope.data.survey import Survey
from vaescope.data.survey import survey as survey_of
from vaescope.errors import UsageError
from vaescope.experiment import train as train_run
from vaescope.picks import Picks, in_words, pick
from vaescope.training import Observer, State

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
            action.metavar = "NAME_OR_PATH"
            action.help = "The name of an image set, a folder or file with your own images, or hf:NAME."
    made.add_argument("--out", type=Path | None, default=None, help="The run folder; by default a new one in runs/.")
    made.add_argument("--resume", type=Path | None, default=None, help="A run folder to go on with, as it was begun.")
    made.add_argument("--skip-bad", action="store_true", help="Leave out files that cannot be read.")
    made.add_argument("--json", action="store_true", help="Print the summary as JSON on standard output.")
    return made


def train(words: Sequence[str]) -> int:
    """Runs ``vaescope train``. Returns the exit code."""
    made = parser()
    words, found = expand_data(words)
    parsed = config.parse(made, words)
    resume = parsed.pop("resume")
    out, as_json, _ = parsed.pop("out"), parsed.pop("json"), parsed.pop("skip_bad")
    if resume is None:
        folder = out or free_folder(parsed)
        settings, text = config.build(made, parsed), dump(made, parsed)
        for line in found.in_words(settings) if found else ():
            report(line)
    else:
        folder, settings, text = resume, resumed(resume, words), ""
    shown, stop = display(), Interruption()
    try:
        summary = train_run(
            settings, text, folder, resume is not None, [shown, stop], report, Download(), lambda: bool(stop.signals)
        )
    finally:
        stop.disarm()
        if isinstance(shown, Bar):
            shown.close()
    print(json.dumps(summary.record()) if as_json else describe(summary))
    return 128 + stop.signals[0] if summary.outcome == "interrupted" else 0


@dataclass(frozen=True)
class Found:
    """What a user's own images are, and what was picked for them."""

    survey: Survey
    picks: Picks

    def in_words(self, settings: config.Config) -> list[str]:
        """Three lines."""
        return in_words(self.picks, self.survey, settings)


def expand_data(words: Sequence[str]) -> tuple[list[str], Found | None]:
    """Writes ``--data X`` out: a name as ``--data.name``, a folder or file as ``--data.root`` with the name of what is
    in it, and for the user's own images with all that is picked for them. ``--skip-bad`` becomes a key too.

    Returns:
        The words, and what was found out about the user's own images.
    """
    words = ["--data.skip_bad=true" if word == "--skip-bad" else word for word in words]
    expanded: list[str] = []
    found: Found | None = None
    rest = iter(words)
    for word in rest:
        flag, _, value = word.partition("=")
        if flag != "--data":
            expanded.append(word)
            continue
        value = value or next(rest, "")
        if not value or value.startswith("--"):
            raise UsageError(f"--data needs a name ({', '.join(NAMED)}), a folder or a file with images, or hf:NAME")
        if value.startswith(HUB) or (Path(value).exists() and not is_named(Path(value))):
            found = look_at(value, given(words))
            place = ["--data.name", value] if value.startswith(HUB) else ["--data.name", OWN, "--data.root", value]
            expanded += place + options({f"data.{key}": picked for key, picked in found.picks.data.items()})
        elif Path(value).is_dir():
            expanded += ["--data.root", value, "--data.name", contents(Path(value))]
        elif "/" in value or "." in value:
            raise UsageError(
                f"--data {value} does not exist: give a folder or file with images, or one of {', '.join(NAMED)}"
            )
        else:
            if value != IDX:
                find(value)
            expanded += ["--data.name", value]
    return (options(found.picks.rest) if found else []) + expanded, found


def is_named(path: Path) -> bool:
    """Whether a folder holds the files of a named set, or such files of one's own."""
    return path.is_dir() and any(locate(path, FILE_NAMES[role]) for role in ("train_images", "test_images"))


def given(words: Sequence[str]) -> dict[str, Any]:
    """The keys of the ``data`` part that stand among words, with their values."""
    pairs = {flag.removeprefix("data."): value for flag, value in config.options(words) if flag.startswith("data.")}
    return {key: config.plain(value) for key, value in pairs.items()}


def options(keys: Mapping[str, Any]) -> list[str]:
    """Keys and values as words of a command line."""
    return [
        word
        for key, value in keys.items()
        for word in (f"--{key}", value if isinstance(value, str) else json.dumps(value))
    ]


def look_at(where: str, given: Mapping[str, Any]) -> Found:
    """Surveys the user's own images, and picks what is not given."""
    source = open_source(where, given.get("classes", True) is not False)
    report(f"looking at {len(source):,} images")
    survey = survey_of(source)
    survey.check()
    return Found(survey, pick(survey, given))


def contents(folder: Path) -> str:
    """What a folder holds: the name of a set whose files it has, byte for byte, or ``idx`` for others.

    Raises:
        UsageError: If there are no images in it.
    """
    images = locate(folder, FILE_NAMES["train_images"])
    if images is None or locate(folder, FILE_NAMES["test_images"]) is None:
        names = f"{FILE_NAMES['train_images']} and {FILE_NAMES['test_images']}"
        raise UsageError(f"--data {folder} holds no images to train on: it must have {names}, gzipped or not")
    known = recognise(hashlib.sha256(read_bytes(images)).hexdigest())
    if known and all(locate(folder, file.name) for file in find(known[0]).files.values()):
        return known[0]
    return IDX


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
    before = ["", *words[:-1]]
    others = [
        word
        for word, last in zip(words, before, strict=True)
        if last != "--resume" and word not in ("--json", "--resume") and not word.startswith("--resume=")
    ]
    if others:
        raise UsageError(f"--resume goes on with the run's own config, so {others[0]} cannot be given with it")
    if not (folder / "config.yaml").is_file():
        raise UsageError(f"{folder} is no run folder: it holds no config.yaml, so there is nothing to resume")
    return config.read(folder / "config.yaml")


class Interruption(Observer):
    """While a run trains, SIGINT and SIGTERM end it after the step in hand. A second signal stops at once.

    Outside of training, while data are fetched or pictures drawn, they do what they always do.
    """

    name = "interruption"

    def __init__(self) -> None:
        self.signals: list[int] = []
        self.handlers: dict[int, Any] = {}

    def started(self, state: State) -> None:
        """Begins to listen."""
        if threading.current_thread() is threading.main_thread():
            self.handlers = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}

    def ended(self, state: State) -> None:
        """Ceases to listen."""
        self.disarm()

    def disarm(self) -> None:
        """Ceases to listen, also after an error."""
        for number, handler in self.handlers.items():
            signal.signal(number, handler)
        self.handlers = {}

    def _note(self, number: int, frame: object) -> None:
        if self.signals:
            raise KeyboardInterrupt
        self.signals.append(number)
        report("\nstopping after this step: writing a checkpoint and the pictures so far (again to stop at once)")


def describe(summary: Summary) -> str:
    """The summary in a few lines, the paths last."""
    lines = [""]
    if summary.outcome == "interrupted":
        lines += [f"interrupted at step {summary.steps:,}; go on with: vaescope train --resume {summary.folder}"]
    if summary.test is not None:
        lines += [
            f"{'test ' + summary.test.name:<12} {summary.test}",
            f"protocol     {summary.test.images:,} test {summary.protocol}",
        ]
    if summary.bits_per_dim is not None:
        lines += [f"             {summary.bits_per_dim:.3f} bits/dim"]
    if summary.accuracy is not None:
        lines += [f"accuracy     {summary.accuracy:.2%} of the labels of the test images found"]
    lines += [
        f"validation   {summary.validation:.2f} nats per image, at step {summary.best_step:,}: these weights were kept",
        f"latents      {summary.latents}",
        *(f"warning      {text}" for text in summary.warnings),
        f"training     {summary.seconds:.1f} s, {summary.images_per_second:,.0f} images/s, {summary.epochs:.1f} epochs "
        f"({summary.outcome}); drawing {summary.drawing_seconds:.1f} s",
        f"run folder   {summary.folder}",
    ]
    lines += [f"             {path}" for path in summary.figures]
    return "\n".join(lines)
