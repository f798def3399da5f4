"""What of a run folder a comparison reads: scores, config and the course of training. It needs no images and no model.

A run that was never evaluated has what training wrote of its test images at its end; that is the −ELBO by the same
protocol, with its two parts.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from vaescope.config import load_yaml
from vaescope.data.sources import NAMED
from vaescope.data.targets import ONCE, TARGETS
from vaescope.errors import UsageError
from vaescope.evaluation import FILE, Evaluation, Measured, load
from vaescope.foreign import from_json
from vaescope.metrics.bound import NATS
from vaescope.metrics.score import Score
from vaescope.metrics.shown import in_words
from vaescope.observers import read_lines
from vaescope.terminal import printable

LOG = "metrics.jsonl"

ASIDE = ("seed", "figures", "data.memory", "data.cache", "trainer.device", "trainer.keep", "trainer.log_every")
"""Keys of a config that change nothing of what is learned, and the seed."""

IMAGES = ("name", "root", "size", "fit", "channels", "bits", "skip_bad", "validation", "test", "split_seed")
"""Keys of a config that decide on the test images."""

Lines = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Entrant:
    """A run that is compared.

    Args:
        folder: The run folder.
        title: What it is called here.
        evaluation: What was measured of it.
        logged: Whether that is only what training wrote at its end.
        config: The keys of its config, with dots, and their values in words.
        lines: The lines of its ``metrics.jsonl``.
    """

    folder: Path
    title: str
    evaluation: Evaluation
    logged: bool
    config: Mapping[str, str]
    lines: Lines

    @cached_property
    def scores(self) -> dict[tuple[str, str], Score]:
        """Every score by the name of its metric and its own."""
        return {(name, score.name): score for name, score in self.evaluation.scores()}

    @cached_property
    def data(self) -> dict[str, str]:
        """What its config says of the test images. Where a named set lies changes nothing."""
        values = {f"data.{key}": self.config.get(f"data.{key}", "") for key in IMAGES}
        return {"data.name": values["data.name"]} if values["data.name"] in NAMED else values

    @cached_property
    def recipe(self) -> tuple[tuple[str, str], ...]:
        """Its config without the seed and what changes nothing of what is learned."""
        known = (item for item in self.config.items() if not f"{item[0]}.".startswith(tuple(f"{k}." for k in ASIDE)))
        return tuple(sorted(item for item in known if item[0] != "data.root" or "data.root" in self.data))

    @property
    def seed(self) -> str:
        """The seed of its training."""
        return self.config.get("seed", "")

    @cached_property
    def explains(self) -> tuple[str, ...]:
        """What its −ELBO is about: the images, what of them, and whether with labels."""
        semi = str(self.config.get("model") == "SemiSupervised")
        return (*self.data.values(), self.config.get("data.targets", ""), self.config.get("model.labels", ""), semi)

    def course(self, *names: str) -> list[np.ndarray]:
        """Columns of the validation lines, each with shape (T,); what is missing is not a number."""
        lines = [line for line in self.lines if line["split"] == "validation"]
        try:
            return [np.array([line.get(name) for line in lines], dtype=np.float64) for name in names]
        except (TypeError, ValueError, OverflowError):
            raise UsageError(f"{self.folder / LOG} is damaged (a number is none): repair or delete it") from None


def read(folders: Sequence[Path]) -> list[Entrant]:
    """Reads run folders.

    Args:
        folders: The run folders.

    Raises:
        UsageError: If one is none, is named twice, is broken, or has no score.
    """
    places = [folder.expanduser().resolve() for folder in folders]
    for number, place in enumerate(places):
        if place in places[:number]:
            raise UsageError(f"{folders[number]} is named twice: give each run once")
    return [_read(folder.expanduser(), title) for folder, title in zip(folders, titles(places), strict=True)]


def _read(folder: Path, title: str) -> Entrant:
    path = folder / "config.yaml"
    if not path.is_file():
        raise UsageError(f"{folder} is no run folder: it holds no config.yaml; give one that `vaescope train` made")
    try:
        content = load_yaml(path)
        flat = {key: printable(value) for key, value in flattened(content)}
        lines = read_lines(folder / LOG)
    except RecursionError:
        raise UsageError(f"{folder} is broken (brackets within brackets without end): repair it") from None
    measured = (folder / FILE).is_file()
    evaluation = load(folder) if measured else logged(folder, flat, lines)
    return Entrant(folder, title, cleaned(evaluation), not measured, flat, lines)


def titles(places: Sequence[Path]) -> list[str]:
    """What folders are called: by their names, with as many folders above them as tell them apart."""

    def tail(place: Path, depth: int) -> str:
        return "/".join(place.parts[-depth:]).replace("//", "/")

    def told(place: Path) -> str:
        depths = range(1, len(place.parts) + 1)
        return next((tail(place, n) for n in depths if [tail(p, n) for p in places].count(tail(place, n)) == 1), "/")

    whole = [printable(told(place)) for place in places]
    short = [f"{name.split('/')[0]}/…/{name.split('/')[-1]}" if name.count("/") > 1 else name for name in whole]
    return short if len(set(short)) == len(short) else whole


def flattened(content: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """The keys of a config with dots and their values in words: of a class its name, with its arguments below it."""
    if isinstance(content, dict) and "class_path" in content:
        yield path, str(content["class_path"]).rpartition(".")[2]
        content = content.get("init_args") or {}
    if isinstance(content, str) and content.startswith("vaescope."):
        content = content.rpartition(".")[2]
    if not isinstance(content, dict):
        yield path, "none" if content is None else str(content).lower() if isinstance(content, bool) else str(content)
        return
    for key, value in content.items():
        yield from flattened(value, f"{path}.{key}".removeprefix("."))


def logged(folder: Path, config: Mapping[str, str], lines: Lines) -> Evaluation:
    """What training wrote of the test images at its end, as an evaluation.

    Raises:
        UsageError: If it wrote nothing, or no numbers.
    """
    found = [line for line in lines if line["split"] == "test"]
    if not found:
        raise UsageError(
            f"{folder} holds no {FILE} and its training no score of test images: run `vaescope evaluate {folder}`"
        )
    try:
        scores = tuple(_logged(found[-1], protocol(folder, config, int(found[-1]["images"]))))
    except (KeyError, TypeError, ValueError, OverflowError):
        raise UsageError(f"{folder / LOG} is damaged (its scores are none): run `vaescope evaluate {folder}`") from None
    name = config.get("data.name", "")
    data = NAMED[name].title if name in NAMED else ""
    measured = Measured("full", 0, 0.0, scores, group="Likelihood")
    return Evaluation(printable(folder.resolve().name), int(found[-1]["step"]), "", data, "", {"elbo": measured})


def _logged(line: Mapping[str, Any], how: str) -> Iterator[Score]:
    count, error = int(line["images"]), line.get("standard_error")
    error = None if error is None else float(error)
    if line.get("negative_elbo") is None:
        yield Score(
            "distortion", "distortion", float(line["distortion"]), NATS, how, count, error=error, better="lower"
        )
        return
    elbo = float(line["negative_elbo"])
    yield Score("negative_elbo", "−ELBO", elbo, NATS, how, count, error=error, better="lower")
    yield Score("distortion", "distortion, −log p(x|z)", float(line["distortion"]), NATS, how, count)
    yield Score("rate", "rate, KL(q(z|x) ‖ p(z))", float(line["rate"]), NATS, how, count)


def protocol(folder: Path, config: Mapping[str, str], count: int) -> str:
    """How training scores so many test images at its end, from the config."""
    target = TARGETS.get(config.get("data.targets", "binary"))  # type: ignore[call-overload]
    words = f"{in_words(target(), config.get('data.name', ''), count)}, {ONCE}" if target else "not known"
    if config.get("model") == "SemiSupervised":
        return f"{words}, image and label scored together (log {_classes(folder)} nats for the label)"
    return words + (", the label of each image given" if config.get("model.labels") == "true" else "")


def _classes(folder: Path) -> str:
    """The number of classes of a run, as its weights say it."""
    try:
        with safe_open(folder / "model.safetensors", "np") as file:
            return str(len(from_json((file.metadata() or {})["vaescope"])["classes"]))
    except (SafetensorError, KeyError, TypeError, ValueError, OSError):
        return "K"


def cleaned(evaluation: Evaluation) -> Evaluation:
    """The same with words that a terminal can show, as it may be from anywhere."""
    names = ("title", "unit", "protocol", "cases", "over", "warning")

    def score(one: Score) -> Score:
        words: dict[str, Any] = {name: printable(getattr(one, name)) for name in names}
        return replace(one, **words)

    metrics = {
        printable(name): replace(measured, scores=tuple(map(score, measured.scores)), group=printable(measured.group))
        for name, measured in evaluation.metrics.items()
    }
    return replace(evaluation, metrics=metrics, data=printable(evaluation.data))
