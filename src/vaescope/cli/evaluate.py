"""``vaescope evaluate``: measure a trained model."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vaescope.cli.options import Parser, positive, report, seed
from vaescope.errors import UsageError
from vaescope.evaluation import FILE, table
from vaescope.evaluation import evaluate as measure
from vaescope.metrics.features import FeatureSet, onnx_features
from vaescope.metrics.protocol import METRICS
from vaescope.metrics.subject import FULL, QUICK
from vaescope.progress import Steps
from vaescope.run import Run


def evaluate(words: Sequence[str]) -> int:
    """Runs ``vaescope evaluate``."""
    made = Parser(
        "Measure a trained model by one protocol.", "vaescope evaluate runs/main --quick", "vaescope evaluate"
    )
    made.epilog = f"metrics:\n{listed()}\n\n{made.epilog}"
    made.add_argument("run", type=Path, help="the run folder")
    made.add_argument("--quick", action="store_true", help="look at fewer images, for less than 20 seconds in all")
    made.add_argument("--metrics", help="only these, with commas between them (all but those marked *)")
    made.add_argument("--samples", type=positive, help="draws for each image in the importance weighted bound (500)")
    made.add_argument(
        "--against",
        metavar="DATA",
        help="the name or place of other images, for anomaly detection: are they found strange?",
    )
    made.add_argument(
        "--features",
        metavar="NAME=FILE.onnx",
        help="a network whose features samples are compared in, such as inception-v3=FILE.onnx",
    )
    made.add_argument("--seed", type=seed, default=0, help="decides all draws (0)")
    made.add_argument("--json", action="store_true", help="print what is written to evaluation.json")
    asked = made.parse_args(words)
    run = Run.load(asked.run)
    names = None if asked.metrics is None else [name.strip() for name in asked.metrics.split(",") if name.strip()]
    effort = QUICK if asked.quick else FULL
    if asked.samples is not None:
        effort = replace(effort, samples=asked.samples)
    space = None if asked.features is None else own_features(asked.features)
    with Steps() as progress:
        found = measure(run, names, effort, asked.seed, report, progress, space, asked.against)
    if asked.json:
        print(json.dumps(found.record(), ensure_ascii=False, indent=1))
    else:
        print(table(found, names))
        print(f"\n{asked.run / FILE}")
    return 0


def own_features(text: str) -> FeatureSet:
    """The feature space of a network that is given as a name and a file.

    Raises:
        UsageError: If it is not given so, or cannot be run.
    """
    name, _, path = text.partition("=")
    if not path:
        raise UsageError(f"--features is {text}: give a name and an ONNX file, such as inception-v3=FILE.onnx")
    return onnx_features(name, Path(path).expanduser())


def listed() -> str:
    """Every metric with what it measures, for the help."""
    return "\n".join(f"  {name + ('*' if metric.asked else ''):<16} {metric.what}" for name, metric in METRICS.items())
