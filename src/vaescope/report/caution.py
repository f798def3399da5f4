"""What to mind about a run, each with what to try: found in the numbers of its folder."""

from collections.abc import Iterator

from vaescope.facts import shown
from vaescope.report.known import Known

RISEN = 0.005
"""The share of the best validation loss by which a later one is worse that tells of overfitting, not of noise."""

APART = 0.05
"""The share by which a validation loss is above the training loss of the same time that tells of memorised images."""

FALLING = 0.01
"""The share by which the validation loss fell in the last tenth of training that tells of an early end."""

FEW = 1000
"""Test images below which a standard error is itself uncertain, and differences between models are hard to see."""


def cautions(known: Known) -> list[str]:
    """Everything to mind, the worst first."""
    of_latents = [f"{text[:1].upper()}{text[1:]}." for text in known.run.origin.warnings]
    found = [*interrupted(known), *of_latents, *overfitted(known), *unfinished(known), *no_density(known)]
    of_scores = [f"{score.title}: {score.warning}." for score in known.warned()]
    return [*found, *of_scores, *in_a_hurry(known), *few_images(known)]


def interrupted(known: Known) -> Iterator[str]:
    """A run that did not come to its end."""
    if known.bound is None:
        yield (
            "The run was interrupted, so its schedules have not arrived and its test images were not scored. Go on "
            f"with vaescope train --resume {shown(known.run)}."
        )


def overfitted(known: Known) -> Iterator[str]:
    """Validation images that became worse explained, or much worse than training images."""
    validation, train = known.curve("validation"), known.curve("train")
    if len(validation) < 2 or not train:
        return
    best, last = min(validation, key=lambda line: line["loss"]), validation[-1]
    risen = last["loss"] - best["loss"]
    if best["step"] > 0 and risen > RISEN * abs(best["loss"]):
        yield (
            f"Overfitting: the validation loss was lowest at step {best['step']:,} of {last['step']:,} and rose by "
            f"{risen:,.1f} nats after that. The weights of step {best['step']:,} were kept. Try fewer epochs, a "
            "smaller network, dropout, or more images."
        )
    gap = _elbo(last) - _elbo(train[-1])
    if gap > APART * abs(_elbo(last)):
        yield (
            f"Memorising: at the end validation images cost {gap:,.1f} nats more than training images. Try a smaller "
            "network, dropout, or more images."
        )


def _elbo(line: dict[str, float]) -> float:
    """-ELBO of a line, whatever the weight of the rate was then."""
    return line["distortion"] + (line.get("rate") or 0.0)


def unfinished(known: Known) -> Iterator[str]:
    """A validation loss that still fell at the end."""
    validation = known.curve("validation")
    if known.bound is None or len(validation) < 3:
        return
    last = validation[-1]
    before = [line for line in validation if line["step"] <= 0.9 * last["step"]]
    fell = before[-1]["loss"] - last["loss"] if before else 0.0
    if before and before[-1]["step"] > 0 and fell > FALLING * abs(last["loss"]):
        yield (
            f"The validation loss still fell by {fell:,.1f} nats from step {before[-1]['step']:,} to the last, "
            f"{last['step']:,}: a longer training (trainer.epochs) would do better."
        )


def no_density(known: Known) -> Iterator[str]:
    """Greys that are scored as if they were probabilities."""
    target, family = known.run.target, known.run.model.likelihood.family
    if not target.discrete and type(family).__name__ == "Bernoulli":
        yield (
            "With grey targets a Bernoulli likelihood gives the expectation over all binarisations of an image, not a "
            "density of greys: do not compare it with bits/dim. For those try the likelihood DiscretisedLogistic."
        )


def in_a_hurry(known: Known) -> Iterator[str]:
    """Scores of a quick evaluation."""
    quick = [
        name for name, measured in known.evaluation.metrics.items() if measured.effort == "quick" and measured.scores
    ]
    if quick:
        yield (
            f"Measured quickly, on fewer images: {', '.join(quick)}. For figures to cite run vaescope evaluate "
            f"{shown(known.run)} without --quick."
        )


def few_images(known: Known) -> Iterator[str]:
    """A test split too small to tell models apart."""
    if known.bound is not None and known.bound.images < FEW:
        yield (
            f"There are only {known.bound.images:,} test images: differences between models of less than about two "
            "standard errors (±) may be chance. More test images make them smaller."
        )
