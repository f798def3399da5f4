r"""Disentanglement: whether each factor that images were made from has a latent of its own.

It can only be measured where the factors are known. No two of the measures ask the same question, and papers differ in
details, so every function says which details it takes. Of latents the centres of the posteriors are looked at; all
measures see a latent that is unused but not quite constant, however little its centre moves, except where that is said.

====================  =========================================================  ===============
measure               question                                                   of random codes
====================  =========================================================  ===============
MIG                   has each factor one latent that knows much more of it      0
                      than any other?
SAP                   the same, of how well classes are told                     0
modularity            does each latent know of one factor only?                  anything
FactorVAE, beta-VAE   does a latent stay still that belongs to the factor that   1 / F
                      was held?
DCI                   the same three by forests: each latent one factor,         0, 0, chance
                      each factor one latent, factors told from all of them
====================  =========================================================  ===============

Codes that are rotated lose in all of them, though they are as good for most uses; without supervision or an inductive
bias no training can prefer one to the other.

References:
    | Challenging Common Assumptions in the Unsupervised Learning of Disentangled Representations (Locatello et al.,
      2019)
    | https://arxiv.org/abs/1811.12359
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from vaescope.data.idx import Array
from vaescope.errors import UsageError
from vaescope.metrics.probe import fit_probes
from vaescope.metrics.score import InapplicableError, Score, mean_score, of_few
from vaescope.metrics.subject import Subject
from vaescope.optional import needed

BINS = 20
"""Bins of a latent for mutual information, as usual."""

CUTS = 100
"""Intervals of a latent by which classes are told."""

HELD, VOTES = 64, 1000
"""So many images, or pairs of them, share a factor in one vote, and so many votes are cast."""

PENALTY = 1e-4
"""Of the linear classifier that sees how far pairs are apart."""

RESAMPLES, REPEATS = 20, 5
"""Bootstrap resamples of the images, and repeated sets of votes."""

FORESTS, TREES, LEAF = 5, 10, 5
"""Forests, each of images of its own, the trees of each, and the images that an end of a branch has at least."""

VALUES = 30_000
"""So many values of codes a forest learns from, at most, unless that is less than 200 images."""

UNUSED = 0.05
"""A latent with less than this share of the largest variance casts no vote."""

BIAS = 0.1
"""Where bins and classes are so many that mutual information is overestimated by more than this share of the entropy,
that is said."""


# --- mutual information


def mig(codes: Array, factors: Array, bins: int = BINS) -> Array:
    r"""The mutual information gap of every factor.

    .. math:: \frac{1}{H(v_k)} \left( I(z_{(1)}; v_k) - I(z_{(2)}; v_k) \right)

    with the two latents that know most of the factor. 1: one latent knows all, all others nothing. 0: no latent knows
    more than another one, be it because the factor is spread or is not known at all.

    It does not see whether a latent serves several factors; an angle, which needs two latents, has a gap near 0 at
    best. With bins of equal width it depends on the shape of a latent's distribution: outliers cost information.

    References:
        | Isolating Sources of Disentanglement in Variational Autoencoders (Chen et al., 2018)
        | https://arxiv.org/abs/1802.04942

    Args:
        codes: The codes of N images, with shape (N, D).
        factors: The classes of F factors, with shape (N, F).
        bins: The number of bins of a latent. 20 are usual; the paper itself has the densities of posteriors instead.

    Returns:
        With shape (F,), in [0, 1]. Their mean is the score.
    """
    information, entropies = mutual_information(codes, factors, bins)
    return gap(information) / entropies


def modularity(information: Array) -> Array:
    r"""The modularity of every latent.

    .. math:: 1 - \frac{\sum_{f \ne f^*} I(z_i; v_f)^2}{I(z_i; v_{f^*})^2 (F - 1)}

    1: a latent knows of one factor only. 0: it knows as much of each, or nothing at all.

    The information of a latent that is all noise is the error of its estimate, and can look like anything between 0
    and 1: of random codes the score is no floor. Nor does it see whether factors are known at all: read it with MIG or
    DCI.

    References:
        | Learning Deep Disentangled Embeddings with the F-Statistic Loss (Ridgeway and Mozer, 2018)
        | https://arxiv.org/abs/1802.05312

    Args:
        information: The mutual information of latents and factors, with shape (D, F).

    Returns:
        With shape (D,), in [0, 1]. Their mean is the score.
    """
    squared = information**2
    most = squared.max(1)
    rest = (squared.sum(1) - most) / max(1, squared.shape[1] - 1)
    return np.where(most > 0, 1 - rest / np.where(most > 0, most, 1), 0)


def mutual_information(codes: Array, factors: Array, bins: int = BINS) -> tuple[Array, Array]:
    """The mutual information of latents, cut into bins of equal width, and factors.

    The plug-in estimate, which is too high by about (bins - 1) (classes - 1) / 2N.

    Args:
        codes: The codes of N images, with shape (N, D).
        factors: The classes of F factors, with shape (N, F).
        bins: The number of bins between the smallest and the largest value of a latent.

    Returns:
        The information in nats with shape (D, F), and the entropies of the factors with shape (F,).
    """
    return _information(contingency(binned(codes, bins), bins, factors, factors.max(0) + 1))


def binned(codes: Array, bins: int = BINS) -> Array:
    """The number of the bin of each value, with the shape of the codes (N, D)."""
    low, high = codes.min(0), codes.max(0)
    width = np.where(high > low, high - low, 1)
    return np.minimum((codes - low) / width * bins, bins - 1).astype(np.int64)


def contingency(cells: Array, bins: int, factors: Array, classes: Array) -> list[Array]:
    """How often each bin of each latent meets each class of each factor.

    Args:
        cells: The numbers of bins, with shape (N, D).
        bins: How many there are.
        factors: The classes of F factors, with shape (N, F).
        classes: How many each factor has, with shape (F,).

    Returns:
        For each factor the counts, with shape (D, bins, classes).
    """
    latents = cells.shape[1]
    start = np.arange(latents) * bins + cells
    tables = []
    for factor, each in zip(factors.T, classes.tolist(), strict=True):
        places = start * each + factor[:, None]
        counts = np.bincount(places.flatten(), minlength=latents * bins * each)
        tables.append(counts.reshape(latents, bins, each))
    return tables


def _information(tables: list[Array]) -> tuple[Array, Array]:
    """The mutual information and the entropies of what :func:`contingency` gives."""
    information, entropies = [], []
    for counts in tables:
        joint = counts / counts.sum((1, 2), keepdims=True)
        of_class = _entropy(joint.sum(1))
        information.append(of_class + _entropy(joint.sum(2)) - _entropy(joint.reshape(len(joint), -1)))
        entropies.append(of_class[0])
    return np.stack(information, axis=1).clip(0), np.array(entropies)


def _entropy(shares: Array) -> Array:
    """The entropy of the last axis, in nats."""
    return -(shares * np.log(np.where(shares > 0, shares, 1))).sum(-1)


def gap(scores: Array) -> Array:
    """The largest number of every column less the second largest, or less 0 where there is only one.

    Args:
        scores: Of latents and factors, with shape (D, F), none negative.

    Returns:
        With shape (F,).
    """
    ordered = np.sort(np.concatenate([np.zeros((1, scores.shape[1])), scores]), axis=0)
    return ordered[-1] - ordered[-2]


# --- classes told by single latents


def sap(codes: Array, factors: Array, asked: Array, answers: Array, cuts: int = CUTS) -> Array:
    """The separated attribute predictability of every factor: how much better the best latent tells its classes than
    the second best one does.

    As in the paper, a single latent tells classes by thresholds, and what counts is the balanced accuracy, the mean
    over the classes of the share that is told right. Here every interval between quantiles of the latent stands for the
    class of which it holds the largest share. 1 - 1 / classes: one latent tells all classes, the others do no better
    than chance. 0: two latents tell them equally well, or none does.

    It does not see whether a latent serves several factors. It does not depend on the shape of distributions: any
    monotone change of a latent leaves it. Other programs have a linear classifier in place of thresholds, which from
    one latent cannot tell the middle ones of several classes in order. Their numbers are lower, and do not compare.

    References:
        | Variational Inference of Disentangled Latent Concepts from Unlabeled Observations (Kumar et al., 2018)
        | https://arxiv.org/abs/1711.00848

    Args:
        codes: The codes of N images that are learned from, with shape (N, D).
        factors: The classes of their F factors, with shape (N, F).
        asked: The codes of M images whose classes are told, with shape (M, D).
        answers: The classes of their factors, with shape (M, F).
        cuts: The number of intervals, all with as many of the N images.

    Returns:
        With shape (F,), in [0, 1]. Their mean is the score.
    """
    classes = np.maximum(factors.max(0), answers.max(0)) + 1
    known, tried = intervals(codes, asked, cuts)
    return gap(_told(contingency(known, cuts, factors, classes), contingency(tried, cuts, answers, classes)))


def intervals(codes: Array, asked: Array, cuts: int = CUTS) -> tuple[Array, Array]:
    """The numbers of the intervals between quantiles of the codes in which these, and others, lie."""
    edges = np.quantile(codes, np.arange(1, cuts) / cuts, axis=0, method="inverted_cdf").T
    known, tried = (
        np.stack([np.searchsorted(edge, z) for edge, z in zip(edges, values.T, strict=True)], axis=1)
        for values in (codes, asked)
    )
    return known, tried


def _told(known: list[Array], asked: list[Array]) -> Array:
    """The balanced accuracy with which each latent tells the classes of each factor, with shape (D, F)."""
    accuracies = []
    for learned, tried in zip(known, asked, strict=True):
        shares = learned / np.maximum(1, learned.sum(1, keepdims=True))
        right = shares.argmax(2)[..., None] == np.arange(shares.shape[2])
        there = tried.sum(1)
        recall = (tried * right).sum(1) / np.maximum(1, there)
        accuracies.append(recall.sum(1) / (there > 0).sum(1))
    return np.stack(accuracies, axis=1)


# --- votes of images that share a factor


def factor_vae_metric(
    codes: Array, factors: Array, asked: Array, answers: Array, draws: np.random.Generator, votes: int = VOTES
) -> float:
    """The accuracy of votes for the factor that was held: that of the latent that varies least.

    Of 64 images that share the class of one factor, the variance of each latent is compared with that of all images;
    the latent where it is smallest votes for the factor that it was most often held with. 1: for every factor there is
    a latent that stays still when it does, and for no other one. 1 / F: nothing can be told.

    Latents that hardly vary are left out: those with less than 0.05 of the largest variance. The paper leaves out those
    whose posterior is the prior; papers since then those with a variance below 0.05, which is the same where that of
    the prior is 1. It does not see whether a factor is spread over several latents, nor latents that mix factors
    a little. It is easily 1: a difference between two models near that says nothing.

    References:
        | Disentangling by Factorising (Kim and Mnih, 2018)
        | https://arxiv.org/abs/1802.05983

    Args:
        codes: The codes of N images whose votes are learned from, with shape (N, D).
        factors: The classes of their F factors, with shape (N, F).
        asked: The codes of M images whose votes are scored, with shape (M, D).
        answers: The classes of their factors, with shape (M, F).
        draws: Where the random numbers come from.
        votes: The number of votes of each.

    Returns:
        A number in [0, 1].
    """
    spread = codes.var(0)
    used = (spread > 0) & (spread >= UNUSED * spread.max())
    learned, scored = (_stillest(z, spread, used, v, draws, votes) for z, v in ((codes, factors), (asked, answers)))
    guess = learned.argmax(1)
    return float(scored[np.arange(len(guess)), guess].sum() / scored.sum())


def _stillest(
    codes: Array, spread: Array, used: Array, factors: Array, draws: np.random.Generator, votes: int
) -> Array:
    """How often each latent varied least when each factor was held, with shape (D, F)."""
    columns = []
    for rows in _held(factors, draws, votes, shared=True):
        varied = codes[rows].var(1) / np.where(used, spread, 1)
        least = np.where(used, varied, np.inf).argmin(1)
        columns.append(np.bincount(least, minlength=codes.shape[1]))
    return np.stack(columns, axis=1)


def beta_vae_metric(
    codes: Array, factors: Array, asked: Array, answers: Array, draws: np.random.Generator, votes: int = VOTES
) -> float:
    """The accuracy with which a linear classifier tells which factor was held from how far codes are apart.

    Of 64 pairs of images the two share the class of one factor; the mean of ``|z - z'|`` over the pairs is what the
    classifier, a linear probe, sees. 1: all factors can be told. 1 / F: none can.

    A linear classifier also tells factors from codes that are rotated or shared, where these are not too many. It is 1
    for many models that are far from disentangled: the other measures were made for that reason.

    References:
        | beta-VAE: Learning Basic Visual Concepts with a Constrained Variational Framework (Higgins et al., 2017)
        | https://openreview.net/forum?id=Sy2fzU9gl

    Args:
        codes: The codes of N images whose pairs are learned from, with shape (N, D).
        factors: The classes of their F factors, with shape (N, F).
        asked: The codes of M images whose pairs are scored, with shape (M, D).
        answers: The classes of their factors, with shape (M, F).
        draws: Where the random numbers come from.
        votes: How often 64 pairs of each are drawn.

    Returns:
        A number in [0, 1].
    """
    (x, y), (tried, truth) = (_apart(z, v, draws, votes) for z, v in ((codes, factors), (asked, answers)))
    probe = next(fit_probes(x, y, [PENALTY]))
    return (probe(tried) == truth).double().mean().item()


def _apart(codes: Array, factors: Array, draws: np.random.Generator, votes: int) -> tuple[Tensor, Tensor]:
    """How far pairs that share a factor are apart, with shape (votes, D), and which one they share."""
    apart = [
        np.abs(codes[ones] - codes[others]).mean(1)
        for ones, others in (np.split(rows, 2, axis=1) for rows in _held(factors, draws, votes, shared=False))
    ]
    which = np.repeat(np.arange(len(apart)), [len(rows) for rows in apart])
    return torch.from_numpy(np.concatenate(apart)), torch.from_numpy(which)


def _held(factors: Array, draws: np.random.Generator, votes: int, shared: bool) -> Iterator[Array]:
    """Images that share the class of a factor, factor by factor.

    Args:
        factors: The classes of F factors, with shape (N, F).
        draws: Where the random numbers come from.
        votes: How many rows, of all factors together.
        shared: Whether all images of a row share one class; else the second half of it shares those of the first.

    Yields:
        Places of images, with shape (votes / F, 64), or (votes / F, 128).
    """
    each = votes // factors.shape[1]
    for factor in factors.T:
        order, counts = np.argsort(factor, kind="stable"), np.bincount(factor)
        starts = counts.cumsum() - counts
        ones = draws.integers(len(factor), size=(each, 1 if shared else HELD))
        classes = np.broadcast_to(factor[ones], (each, HELD))
        others = order[starts[classes] + draws.integers(counts[classes])]
        yield others if shared else np.concatenate([ones, others], axis=1)


# --- importances


def focus(importance: Array) -> tuple[float, Array]:
    r"""DCI: how much every row is about one column alone.

    .. math:: D_i = 1 - H_F(P_i), \quad P_{ij} = R_{ij} / \sum_k R_{ik}, \quad
              D = \sum_i \rho_i D_i, \quad \rho_i = \sum_j R_{ij} / \sum_{ij} R_{ij}

    with the entropy to the base of the number of columns. With latents as rows and factors as columns this is the
    disentanglement, and with the two exchanged the completeness. 1: every row has one column only. 0: all rows have all
    columns equally. Rows count by their importance, so a latent that is good for nothing does no harm.

    References:
        | A Framework for the Quantitative Evaluation of Disentangled Representations (Eastwood and Williams, 2018)
        | https://openreview.net/forum?id=By-7dz-AZ

    Args:
        importance: How much each latent matters for telling each factor, with shape (D, F), none negative; or the same
            transposed.

    Returns:
        The score in [0, 1], and that of each row, 0 of one that matters for nothing.

    Example:
        >>> focus(np.eye(5))[0]
        1.0
        >>> round(focus(np.hstack([np.eye(5), np.eye(5)]))[0], 5)
        0.69897
    """
    whole = importance.sum(1)
    shares = importance / np.where(whole > 0, whole, 1)[:, None]
    base = np.log(importance.shape[1]) if importance.shape[1] > 1 else 1.0
    each = np.where(whole > 0, (1 - _entropy(shares) / base).clip(0), 0)
    return float((each * whole).sum() / whole.sum()) if whole.sum() > 0 else 0.0, each


@dataclass(frozen=True)
class Importances:
    """What forests find that tell the factors from the codes.

    Args:
        each: The importances that each of K forests found, with shape (K, D, F); over the latents they sum to 1.
        right: Whether all together were right of every image and factor, with shape (M, F).
        images: The number of images that each learned from.
    """

    each: Array
    right: Array
    images: int


def importances(
    codes: Array,
    factors: Array,
    asked: Array,
    answers: Array,
    seed: int = 0,
    done: Callable[[int, int], None] = lambda done, total: None,
) -> Importances:
    """How much each latent matters to random forests that tell the factors from all latents.

    Five forests of ten trees, each of images of its own, so that they are as different as if other images had been
    drawn. Every split of a tree may be made by any latent: were they to choose among a few at random, as is the default
    elsewhere, they would have to use latents that know nothing, and codes that are factors would not score 1.
    The importance is the share in the decrease of impurity. It grows with noise in a latent as trees go deeper, so
    the ends of branches have at least five images, and scores compare only for as many images a forest.

    Args:
        codes: The codes of N images to learn from, with shape (N, D).
        factors: The classes of their F factors, with shape (N, F).
        asked: The codes of M images whose factors are told, with shape (M, D).
        answers: The classes of their factors, with shape (M, F).
        seed: Decides the trees.
        done: Is told how much of how much is done.

    Raises:
        UsageError: If scikit-learn is not installed.
    """
    ensemble = needed("sklearn", "sklearn.ensemble")
    most = max(200, VALUES // codes.shape[1])
    parts = [part[:most] for part in np.array_split(np.arange(len(codes)), FORESTS)]
    found = np.zeros((FORESTS, codes.shape[1], factors.shape[1]))
    right = []
    for f, (factor, answer) in enumerate(zip(factors.T, answers.T, strict=True)):
        shares = np.zeros((len(asked), factor.max() + 1))
        for k, part in enumerate(parts):
            forest = ensemble.RandomForestClassifier(
                TREES, max_features=None, min_samples_leaf=LEAF, random_state=(seed + k) % 2**32
            )
            forest.fit(codes[part], factor[part])
            found[k, :, f] = forest.feature_importances_
            shares[:, forest.classes_] += forest.predict_proba(asked)
            done(f * FORESTS + k + 1, FORESTS * factors.shape[1])
        right.append(shares.argmax(1) == answer)
    return Importances(found, np.stack(right, axis=1), min(map(len, parts)))


# --- the metrics of an evaluation


@dataclass(frozen=True)
class _Known:
    """Codes and factors of training and test images, of those factors that vary, and what they are called."""

    codes: Array
    factors: Array
    asked: Array
    answers: Array
    names: str


def _known(subject: Subject) -> _Known:
    train, test = (subject.factors(name).numpy() for name in ("train", "test"))
    vary = (np.ptp(train, axis=0) > 0) & (np.ptp(test, axis=0) > 0)
    if vary.sum() < 2:
        raise InapplicableError("fewer than two ground-truth factors of the images vary")
    codes, asked = (subject.codes(name).double().numpy() for name in ("train", "test"))
    names = [name for name, varies in zip(subject.images.factors, vary, strict=True) if varies]
    given = ", the label of each image given" if subject.model.classes else ""
    said = f"centres of the posteriors{given}, factors {', '.join(names)}"
    return _Known(codes, train[:, vary], asked, test[:, vary], said)


def disentanglement(subject: Subject) -> Iterator[Score]:
    """MIG, SAP, modularity and the metrics of FactorVAE and beta-VAE."""
    known = _known(subject)
    yield from _gaps(subject, known)
    measures = (("factor_vae", "FactorVAE metric", factor_vae_metric), ("beta_vae", "β-VAE metric", beta_vae_metric))
    for turn, (name, title, measure) in enumerate(measures):
        found = []
        for repeat in range(REPEATS):
            draws = np.random.default_rng(subject.seed_for(name, repeat))
            found.append(measure(known.codes, known.factors, known.asked, known.answers, draws))
            subject.tick((len(measures) + turn) * REPEATS + repeat, 2 * len(measures) * REPEATS)
        protocol = (
            f"{VOTES:,} times {HELD} {'images' if name == 'factor_vae' else 'pairs'} that share a factor, learned from "
            f"{len(known.codes):,} training images, mean of {REPEATS} repetitions, {known.names}"
        )
        error = _spread(found) / REPEATS**0.5
        value, count = float(np.mean(found)), len(known.asked)
        score = Score(name, title, value, "", protocol, count, error=error, over="draws", better="higher")
        yield of_few(score, REPEATS)


def _gaps(subject: Subject, known: _Known) -> Iterator[Score]:
    """MIG, modularity and SAP, with the spread of each over resamples of the images.

    The first two learn nothing of the images, and are the more biased the fewer there are: so they see all of them.
    """
    classes = np.maximum(known.factors.max(0), known.answers.max(0)) + 1
    factors = np.concatenate([known.factors, known.answers])
    cells = binned(np.concatenate([known.codes, known.asked]))
    learned, tried = intervals(known.codes, known.asked)

    def measure(train: Array, test: Array) -> tuple[Array, Array, Array]:
        both = np.concatenate([train, len(learned) + test])
        information, entropies = _information(contingency(cells[both], BINS, factors[both], classes))
        told = _told(
            contingency(learned[train], CUTS, known.factors[train], classes),
            contingency(tried[test], CUTS, known.answers[test], classes),
        )
        return gap(information) / entropies, modularity(information), gap(told)

    found = measure(np.arange(len(learned)), np.arange(len(tried)))
    draws = np.random.default_rng(subject.seed_for("resamples"))
    again = []
    for turn in range(RESAMPLES):
        train, test = (draws.integers(len(images), size=len(images)) for images in (learned, tried))
        again.append([float(parts.mean()) for parts in measure(train, test)])
        subject.tick(turn, 2 * RESAMPLES)
    errors = np.std(again, axis=0, ddof=1)
    too_high = float(((BINS - 1) * (classes - 1) / (2 * len(cells) * np.log(classes))).max())
    warning = f"of {len(cells):,} images mutual information looks up to {too_high:.0%} larger: evaluate more of them"
    in_bins = f"{BINS} bins of equal width, {known.names}", len(cells), "training and test images"
    by_cuts = f"classes told by {CUTS} intervals of {len(learned):,} training images, balanced accuracy, {known.names}"
    said = (
        ("mig", "MIG, mutual information gap", *in_bins, warning if too_high > BIAS else ""),
        ("modularity", "modularity", *in_bins, warning if too_high > BIAS else ""),
        ("sap", "SAP, gap of predictability", by_cuts, len(tried), "test images", ""),
    )
    for (name, title, protocol, images, cases, warned), parts, error in zip(said, found, errors.tolist(), strict=True):
        yield Score(
            name, title, float(parts.mean()), "", protocol, images, cases, error=error, over="resamples",
            better="higher", parts=tuple(parts.tolist()), warning=warned,
        )  # fmt: skip


def dci(subject: Subject) -> Iterator[Score]:
    """DCI: disentanglement, completeness and informativeness by random forests."""
    known = _known(subject)
    try:
        found = importances(
            known.codes, known.factors, known.asked, known.answers, subject.seed_for("forests") % 2**31, subject.tick
        )
    except UsageError as missing:
        raise InapplicableError(str(missing)) from None
    protocol = (
        f"random forests, {FORESTS} of {TREES} trees, of {found.images:,} training images each, all latents at every "
        f"split, at least {LEAF} images a leaf, {known.names}"
    )
    mean = found.each.mean(0)
    for name, title, turned in (
        ("dci_disentanglement", "DCI disentanglement", False),
        ("dci_completeness", "DCI completeness", True),
    ):
        value, parts = focus(mean.T if turned else mean)
        error = _spread([focus(each.T if turned else each)[0] for each in found.each]) / FORESTS**0.5
        score = Score(
            name, title, value, "", protocol, len(known.asked), error=error, over="forests", better="higher",
            parts=tuple(parts.tolist()),
        )  # fmt: skip
        yield of_few(score, FORESTS)
    score = mean_score(
        "dci_informativeness", "DCI informativeness, accuracy", found.right.mean(1), "", protocol, better="higher"
    )
    yield replace(score, parts=tuple(found.right.mean(0).tolist()))


def _spread(values: Sequence[float] | Array) -> float:
    """The standard deviation of numbers."""
    return float(np.std(values, ddof=1))
