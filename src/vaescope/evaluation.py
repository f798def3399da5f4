"""Evaluation: every metric that applies, measured by one protocol, and kept in the run folder.

::

    runs/main/
      evaluation.json     every score with its unit, protocol, number of cases, error and interval
      evaluation.npz      the scores of single images, to compare two models image by image
      figures/            the pictures that go with them

What was measured before is kept unless it is measured anew, as long as the weights are the same; every score says
itself how it was measured. The files are written after every metric, so that an interruption loses one of them at most.
"""

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from vaescope import pages
from vaescope.choices import unknown
from vaescope.clock import Clock
from vaescope.data.fetch import Report, log
from vaescope.data.rows import Rows, chunks
from vaescope.errors import UsageError
from vaescope.files import atomic_file
from vaescope.foreign import explained, read_arrays
from vaescope.metrics.features import FeatureSet
from vaescope.metrics.protocol import METRICS
from vaescope.metrics.score import InapplicableError, Picture, Score
from vaescope.metrics.subject import FULL, QUICK, Effort, Subject
from vaescope.observers import read_lines
from vaescope.outliers import outliers
from vaescope.run import Run, machine
from vaescope.terminal import printable

FORMAT = 1
FILE, EACH = "evaluation.json", "evaluation.npz"

OPTIONS = {"samples": ("iwae", "ais"), "anneal": ("ais",), "against": ("anomalies",), "features": ("samples",)}
"""The metrics that an option is for."""


@dataclass(frozen=True)
class Measured:
    """What one metric gave.

    Args:
        effort: The name of the effort, "full" or "quick".
        seed: The seed of its draws.
        seconds: How long it took.
        scores: Its scores.
        pictures: The names of its pictures, files in ``figures``, with their captions.
        skipped: Why it does not apply, where it does not.
        group: The heading that its scores stand under.
        options: What was asked of it beside the effort and the seed, by the names of ``vaescope evaluate``.
    """

    effort: str
    seed: int
    seconds: float
    scores: tuple[Score, ...] = ()
    pictures: Mapping[str, str] = field(default_factory=dict)
    skipped: str = ""
    group: str = ""
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluation:
    """All that was measured of one run.

    Args:
        run: The name of the run folder.
        step: The step whose weights were measured.
        weights: The SHA-256 of ``model.safetensors``.
        data: The title of the image set.
        machine: What it was measured on, with the versions of vaescope and torch.
        metrics: What each metric gave, by its name, in the order of the protocol.
        test_images: The SHA-256 of the test images, see :func:`fingerprint`; empty where it is not known.
    """

    run: str
    step: int
    weights: str
    data: str
    machine: str
    metrics: Mapping[str, Measured]
    test_images: str = ""

    def scores(self) -> Iterator[tuple[str, Score]]:
        """Every score with the name of its metric."""
        return ((name, score) for name, measured in self.metrics.items() for score in measured.scores)

    def find(self, path: str) -> Score | None:
        """The score that is called ``metric.name`` or just ``name``, if there is one."""
        return next((score for name, score in self.scores() if path in (score.name, f"{name}.{score.name}")), None)

    def __str__(self) -> str:
        return table(self)

    def _repr_html_(self) -> str:
        return html(self)

    def record(self) -> dict[str, Any]:
        """The evaluation as what JSON can hold, without the scores of single images."""
        metrics = {
            name: {
                "group": METRICS[name].group if name in METRICS else measured.group,
                "effort": measured.effort,
                "seed": measured.seed,
                "options": dict(measured.options),
                "seconds": round(measured.seconds, 3),
                "scores": [score.record() for score in measured.scores],
                "pictures": dict(measured.pictures),
                "skipped": measured.skipped,
            }
            for name, measured in self.metrics.items()
        }
        head = {key: getattr(self, key) for key in ("run", "step", "weights", "data", "test_images", "machine")}
        return {"format": FORMAT, **head, "metrics": metrics}


def evaluate(
    run: Run,
    names: Sequence[str] | None = None,
    effort: Effort = FULL,
    seed: int = 0,
    report: Report = log,
    progress: Callable[[str, float], None] = lambda name, share: None,
    features: FeatureSet | None = None,
    against: str | None = None,
) -> Evaluation:
    """Measures a run and keeps what was found in its folder, after every metric.

    Args:
        run: The run.
        names: The metrics to measure; by default all but those that have to be asked for.
        effort: How much to look at.
        seed: Decides all draws.
        report: Is told in one line what is being done.
        progress: Is told the name of the metric and the share of all that is done.
        features: The feature space that samples are compared in; by default that of the image set.
        against: The name or the place of images of another kind, for anomaly detection; by default those of the classes
            that ``data.without`` has left out.

    Raises:
        UsageError: If there is no such metric, one that was asked for does not apply, the data are not there, the
            folder cannot be written to, or something is given for a metric that is not asked for.
    """
    chosen = choose(names)
    for name, option, given in (("samples", "features", features), ("anomalies", "against", against)):
        if given is not None and name not in chosen:
            raise UsageError(f"--{option} is for the metric {name}, which is not asked for: add it to --metrics")
    known = load_kept(run)
    if not os.access(run.folder, os.W_OK):
        raise UsageError(f"{run.folder} cannot be written to, and that is where {FILE} goes: copy it to where it can")
    images = run.data(report)
    _check_count(run, len(images.test))
    effort = effort.fitting(images.shape)
    strange = outliers(run, against, effort.test, report) if "anomalies" in chosen else None
    subject = Subject(run.model, run.target, images, effort, seed, features=features, outliers=strange)
    found = _begun(known, run, subject)
    for turn, name in enumerate(chosen):
        progress(name, turn / len(chosen))
        subject.tick = partial(_moved, progress, name, turn, len(chosen))
        try:
            measured = replace(measure(run, subject, name), options=options(name, effort, features, against))
        except KeyboardInterrupt:
            report(f"{name} was interrupted; {run.folder / FILE} holds {', '.join(found.metrics) or 'nothing yet'}")
            raise
        if measured.skipped and names is not None:
            raise UsageError(f"{name} of {run.folder} cannot be measured: {measured.skipped}")
        if measured.skipped and name in found.metrics:
            continue  # it was measured with what is not given now
        merged = {**found.metrics, name: measured}
        found = replace(found, metrics={key: merged[key] for key in METRICS if key in merged})
        save(found, run.folder)
    progress("", 1.0)
    return found


def options(name: str, effort: Effort, features: FeatureSet | None, against: str | None) -> dict[str, str]:
    """What was asked of a metric, where it is not the usual, by the names of the command line.

    Args:
        name: The metric.
        effort: How much it looked at.
        features: The feature space that was given, if one was.
        against: The images of another kind that were given, if any were.
    """
    usual = QUICK if effort.name == QUICK.name else FULL
    given = {
        "samples": None if effort.samples == usual.samples else f"{effort.samples}",
        "anneal": None if effort.anneal == usual.anneal else f"{effort.anneal}",
        "against": against,
        "features": None if features is None else f"{features.name.rpartition('-')[0]}=FILE.onnx",
    }
    return {option: text for option, text in given.items() if text is not None and name in OPTIONS[option]}


def _check_count(run: Run, count: int) -> None:
    """Refuses test images that are not as many as training scored: a relative path may lead to others by now.

    Raises:
        UsageError: If they are more or fewer.
    """
    scored = [line for line in read_lines(run.folder / "metrics.jsonl") if line["split"] == "test"]
    then = scored[-1].get("images", count) if scored else count
    if then != count:
        raise UsageError(
            f"{run.config.data.root} has {count:,} test images, but there were {then:,} when {run.folder} was trained: "
            "put them back, or run this in the folder of training if the path is relative"
        )


def _begun(known: Evaluation, run: Run, subject: Subject) -> Evaluation:
    """What is known at the start: nothing if the test images have changed since."""
    shown = fingerprint(subject.images.test.images)
    kept = known.metrics if known.test_images in ("", shown) else {}
    return replace(known, data=subject.images.title, machine=machine(run.model), metrics=kept, test_images=shown)


def fingerprint(images: Rows) -> str:
    """The SHA-256 of the shape of images and of the first 10,000 of them, by which they are known on other machines."""
    digest = hashlib.sha256(repr(tuple(images.shape)).encode())
    for part in chunks(images[:10_000]):
        digest.update(part.numpy().tobytes())
    return digest.hexdigest()


def _moved(progress: Callable[[str, float], None], name: str, turn: int, turns: int, done: int, total: int) -> None:
    """Tells that so much of one metric of several is done."""
    progress(name, (turn + done / total) / turns)


def choose(names: Sequence[str] | None) -> list[str]:
    """The names of the metrics to measure, in the order of the protocol.

    Raises:
        UsageError: If one of them is none, or there are none.
    """
    if names is None:
        return [name for name, metric in METRICS.items() if not metric.asked]
    if not names:
        raise UsageError(f"no metric was named: there are {', '.join(METRICS)}")
    for name in names:
        if name not in METRICS:
            raise UsageError(unknown("metric", name, list(METRICS)))
    return [name for name in METRICS if name in names]


def measure(run: Run, subject: Subject, name: str) -> Measured:
    """One metric of a run. Its pictures are drawn into the run folder."""
    clock = Clock()
    scores, pictures, skipped = [], {}, ""
    footer = f"run {run.name} · step {run.step:,}"
    try:
        for finding in METRICS[name].measure(subject):
            if isinstance(finding, Picture):
                finding.draw(run.folder / "figures" / f"{finding.name}.png", footer)
                pictures[finding.name] = finding.caption
            else:
                scores.append(finding)
    except InapplicableError as error:
        skipped = str(error)
    seconds = clock()
    effort, group = subject.effort.name, METRICS[name].group
    return Measured(effort, subject.seed, seconds, tuple(scores), pictures, skipped, group)


def load_kept(run: Run) -> Evaluation:
    """What was measured of the weights of a run before: nothing if they have changed since, or nothing was."""
    digest = hashlib.sha256((run.folder / "model.safetensors").read_bytes()).hexdigest()
    if (run.folder / FILE).is_file():
        known = load(run.folder)
        if known.weights == digest:
            return known
    return Evaluation(run.name, run.step, digest, "", "", {})


def load(folder: Path) -> Evaluation:
    """Reads what was measured of a run.

    Args:
        folder: The run folder.

    Raises:
        UsageError: If nothing was, or the files are broken.
    """
    path = folder / FILE
    if not path.is_file():
        raise UsageError(f"{folder} holds no {FILE}: run `vaescope evaluate {folder}` first")
    with explained(f"{path} is broken", f"delete it and run `vaescope evaluate {folder}` again"):
        record = json.loads(path.read_text(encoding="utf-8"), object_hook=_printable)
        if int(record["format"]) != FORMAT:
            raise UsageError(f"{path} has format {int(record['format'])}, but this version reads {FORMAT}")
        each = _each(folder / EACH)
        metrics = {name: _parse(name, content, each) for name, content in record["metrics"].items()}
        head = {key: str(record[key]) for key in ("run", "weights", "data", "machine")}
        shown = str(record.get("test_images", ""))
        return Evaluation(**head, step=int(record["step"]), metrics=metrics, test_images=shown)


def save(evaluation: Evaluation, folder: Path) -> None:
    """Writes an evaluation into a run folder, the scores of single images first.

    Raises:
        UsageError: If it cannot be written there.
    """
    each = {
        f"{name}.{score.name}": score.each.astype(np.float32)
        for name, score in evaluation.scores()
        if score.each is not None
    }
    text = json.dumps(evaluation.record(), ensure_ascii=False, indent=1) + "\n"
    try:
        with atomic_file(folder / EACH) as temporary:
            np.savez_compressed(temporary, **each)  # type: ignore[arg-type]
        with atomic_file(folder / FILE) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"{folder / FILE} cannot be written ({error.strerror or error}): make room for it, or copy the run"
        ) from None


def _printable(record: dict[str, Any]) -> dict[str, Any]:
    """A record whose words cannot steer a terminal, wherever the file came from."""
    return {printable(key): printable(value) if isinstance(value, str) else value for key, value in record.items()}


def _parse(name: str, content: dict[str, Any], each: Mapping[str, np.ndarray]) -> Measured:
    scores = tuple(Score.parse(score, each.get(f"{name}.{score['name']}")) for score in content["scores"])
    pictures = {str(key): str(caption) for key, caption in content["pictures"].items()}
    effort, skipped = str(content["effort"]), str(content["skipped"])
    group = str(content.get("group", ""))
    asked = {str(option): str(text) for option, text in content.get("options", {}).items() if option in OPTIONS}
    return Measured(effort, int(content["seed"]), float(content["seconds"]), scores, pictures, skipped, group, asked)


def _each(path: Path) -> dict[str, np.ndarray]:
    """The scores of single images; without the file there are none."""
    if not path.is_file():
        return {}
    with explained(f"{path} is broken", f"delete it and run `vaescope evaluate {path.parent}` again"):
        return read_arrays(path)


def table(evaluation: Evaluation, names: Iterable[str] | None = None) -> str:
    """What was measured, as a table for a terminal.

    Args:
        evaluation: The evaluation.
        names: The metrics to show; by default all.
    """
    lines: list[str] = []
    group = ""
    told = {name: m for name, m in evaluation.metrics.items() if name in METRICS and (names is None or name in names)}
    width = max([34, *(len(_number(score)) for measured in told.values() for score in measured.scores)])
    for name, measured in told.items():
        if METRICS[name].group != group:
            group = METRICS[name].group
            lines += ["", group]
        if measured.skipped:
            lines.append(f"  {name}: not measured, {measured.skipped}")
        lines += [line for score in measured.scores for line in _row(score, width)]
    return "\n".join(lines[1:])


def html(evaluation: Evaluation) -> pages.Html:
    """What was measured, as a table for a notebook or a page."""
    rows: list[list[str]] = []
    for group, some in groupby(evaluation.scores(), key=lambda known: _heading(evaluation, known[0])):
        rows.append([group])
        for _, score in some:
            rows.append(
                [score.title, _number(score), f"{score.count:,} {score.cases}", score.warning or score.protocol]
            )
    return pages.table(["score", "value", "from", "protocol"], rows, numbers=[1])


def _heading(evaluation: Evaluation, name: str) -> str:
    return METRICS[name].group if name in METRICS else evaluation.metrics[name].group or "Others"


def written(score: Score) -> str:
    """The number of a score with its error or interval, rounded to two digits of the error.

    Without an error it has four digits, or all of them if it is whole; what is no number is "not known".
    """
    if not math.isfinite(score.value):
        return "not known"
    digits = decimals(score)
    value = _rounded(score.value, digits)
    if score.interval is not None:
        low, high = (_rounded(end, digits) for end in score.interval)
        return f"{value} [{low}, {high}]"
    if not score.error or not math.isfinite(score.error) or score.error <= 1e-7 * abs(score.value):
        return value
    return f"{value} ± {_rounded(score.error, digits)}"


def decimals(score: Score) -> int:
    """How many decimals of a score its error lets be known: two digits of the error, at most eight decimals."""
    error = score.error
    if not error and score.interval is not None:
        error = (score.interval[1] - score.interval[0]) / 4
    if error is None or not math.isfinite(error) or error <= 1e-7 * abs(score.value):  # less than float32 can tell
        if not math.isfinite(score.value) or score.value == round(score.value):
            return 0
        return min(5, max(0, 3 - math.floor(math.log10(abs(score.value)))))
    return min(8, max(0, 1 - math.floor(math.log10(error))))


def _rounded(value: float, digits: int) -> str:
    """A number with so many decimals, a true minus sign, and none before a zero."""
    text = f"{value:,.{digits}f}"
    return text.lstrip("-") if not text.strip("-0.,") else text.replace("-", "−")


def _number(score: Score) -> str:
    return f"{written(score)} {score.unit}".rstrip()


def _row(score: Score, width: int) -> Iterator[str]:
    mark = "· " if score.of_data else "  "
    yield f"{mark}{score.title:<34} {_number(score):<{width}} {score.count:,} {score.cases}"
    if score.warning:
        yield f"    warning: {score.warning}"
