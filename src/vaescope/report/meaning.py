"""What the numbers of a run mean, in sentences made from them. What was not measured is not spoken of."""

import math
from collections.abc import Iterator

from vaescope.evaluation import written
from vaescope.facts import test_line
from vaescope.metrics.bound import NATS
from vaescope.metrics.latents import IMAGES
from vaescope.metrics.score import NORMAL, Score
from vaescope.models import VAE, SemiVAE
from vaescope.report.known import Known

BIT = math.log(2)
"""Nats in a bit."""

NEAR = 0.2
"""Nats below its limit at which a mutual information says no more than that all images are told apart."""


def sentences(known: Known) -> list[str]:
    """All that can be said."""
    return [
        *cost(known),
        *unavoidable(known),
        *independent(known),
        *tighter(known),
        *labels_found(known),
        *latents(known),
        *compared(known),
    ]


def cost(known: Known) -> Iterator[str]:
    """What an image costs, and for what."""
    bound = known.bound
    if bound is None:
        return
    if bound.negative_elbo is None or bound.rate is None:
        yield (
            f"Given its latents, the pixels of a test image cost {nats(bound.distortion)}. An autoencoder puts each "
            "image in one point, which would take infinitely many nats to describe: so there is no −ELBO, and this "
            "number does not compare with those of models that have one."
        )
        return
    total, rate, rest = bound.negative_elbo, bound.rate, bound.distortion
    density = known.run.model.likelihood.family.density
    told = f"{costly(known.run.model)} {'scores' if density else 'costs'} {nats(total)}"
    if density:
        told += ", of a density: the number depends on the scale of the pixels and may be negative"
    elif (bits := test_line(known.run).get("bits_per_dim")) is not None:
        told += f" to describe, {bits:.3f} bits for each of its values"
    else:
        told += f" to describe, {total / BIT:,.1f} bits"
    yield (
        f"{told}. Of these {rate:,.1f} say where it is in latent space (the rate), and {rest:,.1f} what its pixels "
        "are, given that (the distortion)."
    )
    if bound.standard_error:
        yield (
            f"The mean is over {bound.images:,} test images. With others of the same kind it would lie within "
            f"±{nats(NORMAL * bound.standard_error)} of this in 95 of 100 cases. Two models that are scored on the "
            "same images can be told apart by less: vaescope compare looks at them image by image."
        )


def costly(model: VAE) -> str:
    """What a cost is that of."""
    if isinstance(model, SemiVAE):
        return "A test image together with its label"
    return "A test image whose label is given" if model.classes else "A test image"


def labels_found(known: Known) -> Iterator[str]:
    """How many labels a classifier finds."""
    if (accuracy := test_line(known.run).get("accuracy")) is not None:
        yield (
            f"The model's own classifier finds the label of {accuracy:.2%} of the test images; a guess would find "
            f"about {1 / max(1, known.run.model.classes):.0%}."
        )


def total_of(known: Known, count: int) -> float | None:
    """-ELBO of so many test images: at the end of training, or as it was measured since."""
    bound, score = known.bound, known.score("elbo.negative_elbo")
    if bound is not None and bound.images == count:
        return bound.negative_elbo
    return score.value if score is not None and score.count == count else None


def unavoidable(known: Known) -> Iterator[str]:
    """What of it no model can avoid."""
    floor = known.score("floors.entropy")
    total = None if floor is None else total_of(known, floor.count)
    if floor is not None and total is not None and known.run.target.discrete:
        yield (
            f"Of the {nats(total)} of {floor.count:,} test images {floor.value:,.1f} are the randomness of the "
            "pixels themselves, which were drawn as black or white from greys: no model can avoid them. The other "
            f"{total - floor.value:,.1f} are the model's doing: the rate, and what the decoder does not know of the "
            "greys."
        )


def independent(known: Known) -> Iterator[str]:
    """What images cost without a model of how their pixels hang together."""
    base = known.score("floors.independent_pixels")
    if base is None:
        return
    total = total_of(known, base.count) if base.unit == NATS else test_line(known.run).get("bits_per_dim")
    if total is not None:
        saved, digits = base.value - total, 1 if base.unit == NATS else 3
        less = f"the latents save {saved:,.{digits}f}" if saved > 0 else "this one has not learned even that"
        yield f"A model to which all pixels are independent needs {base.value:,.{digits}f} {base.unit}: {less}."


def tighter(known: Known) -> Iterator[str]:
    """What of the bound is the encoder's doing."""
    tight, gap = known.score("iwae.iwae"), known.score("iwae.iwae_gap")
    if tight is not None and gap is not None:
        yield (
            f"With many draws of the latents for each image the bound comes down by {nats(gap.value)}, to "
            f"{written(tight)} ({tight.title}): at least so much is lost because the encoder's posterior is not "
            "the true one."
        )


def latents(known: Known) -> Iterator[str]:
    """What the latents carry."""
    active, rates = known.at_best("active_units"), known.at_best("kl_per_latent")
    count = known.run.model.prior.latent
    if isinstance(active, int):
        idle = "" if active == count else "; the others stay where the prior is and cost nothing"
        yield f"{active} of {count} latents are active: they move from image to image{idle}."
    if isinstance(rates, list) and len(rates) > 1:
        most = max(range(len(rates)), key=lambda k: float(rates[k]))
        yield f"The latent that says most is z{most + 1}, with {float(rates[most]):.1f} nats per image."
    yield from told_apart(known)


def told_apart(known: Known) -> Iterator[str]:
    """How well images can be told apart by their latents: as it was measured, or else seen in training."""
    score, images = known.score("latents.mutual_information"), known.run.origin.counts.get("validation", 0)
    information, looked_at = known.at_best("mutual_information"), min(IMAGES, images)
    if not known.run.model.posterior.family.factorised:  # of others fewer are looked at
        looked_at = 0
    if score is not None:
        information, looked_at = score.value, score.count
    if not looked_at or not isinstance(information, int | float) or not math.isfinite(information):
        return
    if information > math.log(looked_at) - NEAR:
        end = f"all of the {looked_at:,} that were looked at are told apart, and no more can be seen with so few"
    else:
        end = f"as much as it takes to pick one of {max(1.0, math.exp(information)):,.0f} equally likely ones"
    yield f"The latents tell {max(0.0, information):.1f} nats of which image was seen (mutual information): {end}."


def compared(known: Known) -> Iterator[str]:
    """What needs no model, beside what the model does."""
    for measured in known.evaluation.metrics.values():
        for score in measured.scores:
            beside = [other for other in measured.scores if other.of_data and _is_like(other, score)]
            if score.of_data or score.better is None or not beside:
                continue
            others = "; ".join(f"{other.title} {_with_unit(other)}" for other in beside)
            yield (
                f"{score.title}: {_with_unit(score)}, where {score.better} is better. To compare with, without this "
                f"model: {others}."
            )


def nats(value: float) -> str:
    """A number of nats: two digits of a small one."""
    digits = 1 if abs(value) >= 1 else 2
    return f"{value:,.{digits}f} nats".replace("-", "−")


def _is_like(other: Score, score: Score) -> bool:
    """Whether a number is the same of something else, such as ``probe_pca`` of ``probe``."""
    alike = other.name.startswith(f"{score.name}_") or other.name.endswith(f"_{score.name}")
    return alike and other.unit == score.unit


def _with_unit(score: Score) -> str:
    return f"{written(score)} {score.unit}".rstrip()
