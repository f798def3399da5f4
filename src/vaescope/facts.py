"""What a run folder tells of a run, in words: its data, model, training, and what it came to.

Model cards and reports say the same because both ask here. All is read from the folder, the images need not be there.
"""

import shlex
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from vaescope import pictures
from vaescope.data.dataset import DECODED, OWN
from vaescope.data.sources import NAMED
from vaescope.evaluation import Evaluation
from vaescope.metrics import Bound, of_labels
from vaescope.metrics.bound import NATS
from vaescope.metrics.score import Score
from vaescope.observers import read_lines
from vaescope.outline import count
from vaescope.run import Run
from vaescope.terminal import printable


def title_of(run: Run) -> str:
    """What the images of a run are called."""
    name = run.config.data.name
    return run.origin.title or (NAMED[name].title if name in NAMED else printable(name))


def name_of(run: Run) -> str:
    """What a run is called: the name of its folder."""
    return run.name


def shown(run: Run) -> str:
    """The path of a run as a word of a command line."""
    return shlex.quote(str(run.folder))


def test_line(run: Run) -> dict[str, Any]:
    """What the test images came to at the end of training; nothing of a run that was interrupted."""
    lines = read_lines(run.folder / "metrics.jsonl")
    return next((line for line in reversed(lines) if line["split"] == "test"), {})


def test_bound(line: Mapping[str, Any]) -> Bound | None:
    """The bound in such a line."""
    if not line:
        return None
    return Bound(**{key: line.get(key) for key in Bound.__dataclass_fields__})  # type: ignore[arg-type]


def how_scored(run: Run) -> str:
    """The protocol of that bound."""
    return run.target.protocol + of_labels(run.model)


def scored_in_training(run: Run) -> list[Score]:
    """What the test images came to at the end of training, as scores; only of the first is the error known."""
    line = test_line(run)
    bound = test_bound(line)
    if bound is None:
        return []
    parts = {"distortion": ("distortion, −log p(x|z)", bound.distortion)}
    if bound.negative_elbo is not None and bound.rate is not None:
        parts = {"negative_elbo": ("−ELBO", bound.negative_elbo)} | parts
        parts |= {"rate": ("rate, KL(q(z|x) ‖ p(z))", bound.rate)}
    protocol, images = how_scored(run), bound.images
    scores = [Score(name, title, value, NATS, protocol, images) for name, (title, value) in parts.items()]
    scores[0] = replace(scores[0], error=bound.standard_error)
    for name, title, unit in (("bits_per_dim", "−ELBO", "bits/dim"), ("accuracy", "labels found", "")):
        scores += [Score(name, title, float(line[name]), unit, protocol, images)] if name in line else []
    return scores


def facts(run: Run) -> dict[str, str]:
    """What was trained on what, and what it came to, by names for the rows of a table."""
    line, origin = test_line(run), run.origin
    bound = test_bound(line)
    counts = ", ".join(f"{count_:,} {split}" for split, count_ in origin.counts.items())
    density = ", a density times the step between greys for their mass" if run.model.likelihood.family.density else ""
    measured = {
        f"test {bound.name if bound else '−ELBO'}": str(bound)
        if bound
        else "the run was interrupted before the test images were scored",
        "test bits/dim": f"{line['bits_per_dim']:.3f} bits/dim{density}" if "bits_per_dim" in line else "",
        "test accuracy": f"{line['accuracy']:.2%} of labels found" if "accuracy" in line else "",
        "protocol": f"{bound.images:,} test {how_scored(run)}" if bound else how_scored(run),
        "validation loss": f"{run.loss:.2f} nats per image, at step {run.step:,}",
        "latents": origin.latents,
        "warning": "; ".join(origin.warnings),
    }
    found = {
        "data": f"{title_of(run)}{f': {counts} images' if counts else ''}; {form(run)}",
        "targets": run.config.data.targets,
        **model_facts(run),
        **measured,
        "training": speed(run),
        "machine": origin.machine,
        "seed": str(run.config.seed),
    }
    return {name: text for name, text in found.items() if text}


def form(run: Run) -> str:
    """The shape of an image of a run, in words."""
    channels, height, width = run.shape
    kind = {1: "grey", 2: "grey and alpha", 3: "RGB", 4: "RGBA"}.get(channels, f"{channels} channels")
    return f"{height}×{width} {kind}, {run.config.data.bits} bits"


def model_facts(run: Run) -> dict[str, str]:
    """The parts of a model, and what training minimised."""
    model = run.model
    network = getattr(run.config.model, "network", None)
    return {
        "model": f"{type(run.config.model).__name__}, {count(model):,} parameters, {model.prior.latent} latents",
        "prior p(z)": pictures.words(model.prior),
        "posterior q(z|x)": pictures.words(model.posterior.family),
        "likelihood p(x|z)": pictures.words(model.likelihood.family),
        "network": "" if network is None else str(network).replace("'", ""),
        "objective": str(run.config.objective),
    }


def speed(run: Run) -> str:
    """How long training took, as far as the folder tells."""
    lines = read_lines(run.folder / "metrics.jsonl")
    last = max(lines, key=lambda line: line.get("seconds") or 0, default={})
    steps, seconds = run.origin.steps, float(last.get("seconds") or 0)
    if not steps or not seconds:
        return ""
    batch = min(run.config.trainer.batch_size, run.origin.counts.get("train", run.config.trainer.batch_size))
    reached = max(line["step"] for line in lines)
    return (
        f"{steps:,} steps, {run.origin.epochs:.1f} epochs, {seconds:.1f} s, "
        f"{reached * batch / seconds:,.0f} images/s ({run.origin.outcome})"
    )


def repeat(run: Run) -> str:
    """The command that trains such a run again, in its folder."""
    where = " --data PATH_OF_THE_IMAGES" if run.config.data.name in (OWN, DECODED) else ""
    return f"vaescope train --config config.yaml{where}"


def captions(evaluation: Evaluation) -> dict[str, str]:
    """What every picture of a run shows, in sentences, by the names of the files."""
    of_metrics = {f"{name}.png": text for m in evaluation.metrics.values() for name, text in m.pictures.items()}
    return {name: sentence(text) for name, text in (of_metrics | pictures.CAPTIONS).items()}


def sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}." if text else ""


def grouped(evaluation: Evaluation) -> dict[str, list[Score]]:
    """The scores by the heading that they stand under, in the order of the protocol."""
    groups: dict[str, list[Score]] = {}
    for measured in evaluation.metrics.values():
        groups.setdefault(measured.group or "Others", []).extend(measured.scores)
    return {group: scores for group, scores in groups.items() if scores}
