"""The list of metrics: what an evaluation measures, in this order.

A metric is a function from a :class:`Subject` to scores and pictures. To add one, write it in a file of its own and add
a line here.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from vaescope.metrics.annealed import ais
from vaescope.metrics.anomalies import anomalies
from vaescope.metrics.bound import evidence
from vaescope.metrics.carried import latents
from vaescope.metrics.disentanglement import dci, disentanglement
from vaescope.metrics.floors import floors
from vaescope.metrics.likelihood import binarisation, iwae
from vaescope.metrics.neighbours import neighbours
from vaescope.metrics.probe import probe
from vaescope.metrics.reconstruction import reconstruction
from vaescope.metrics.samples import samples
from vaescope.metrics.score import Picture, Score
from vaescope.metrics.subject import Subject

Finding = Score | Picture


@dataclass(frozen=True)
class Metric:
    """Something to measure.

    Args:
        group: The heading it stands under.
        what: What it measures, in a few words.
        measure: Yields scores and pictures. It raises an InapplicableError where it has no meaning.
        asked: Whether it is measured only if it is asked for by name, because it takes long.
    """

    group: str
    what: str
    measure: Callable[[Subject], Iterator[Finding]]
    asked: bool = False


METRICS: dict[str, Metric] = {
    "elbo": Metric("Likelihood", "the evidence lower bound and its two parts", evidence),
    "iwae": Metric("Likelihood", "the importance weighted bound, and how tight it is", iwae),
    "ais": Metric("Likelihood", "log p(x) by annealed importance sampling, bounded from both sides", ais, asked=True),
    "binarisation": Metric("Likelihood", "the bound of binary images drawn anew, and its spread", binarisation),
    "floors": Metric("Likelihood", "the entropy of the data, and independent pixels", floors),
    "reconstruction": Metric("Reconstruction", "squared error and structural similarity", reconstruction),
    "latents": Metric("Representation", "active units and the parts of the rate", latents),
    "probe": Metric("Representation", "the accuracy of a linear probe on the codes", probe),
    "neighbours": Metric("Representation", "the accuracy of a vote among nearest neighbours", neighbours),
    "disentanglement": Metric("Disentanglement", "whether factors have latents of their own", disentanglement),
    "dci": Metric("Disentanglement", "the same as forests see it, with what can be told in all", dci),
    "samples": Metric("Samples", "how like the test images samples are, and how unlike the training images", samples),
    "anomalies": Metric("Anomaly detection", "whether images of another kind are found strange", anomalies),
}
"""Every metric by its name."""
