"""``vaescope evaluate``, ``compare`` and ``report``: measure trained models, and tell what came of it."""

import shutil
import webbrowser
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vaescope.card import update_card
from vaescope.cli.options import Parser, output, positive, seed, writing
from vaescope.comparison import compare as side_by_side
from vaescope.comparison import draw, write
from vaescope.comparison.formats import FORMATS, WIDTH, record, text
from vaescope.errors import UsageError
from vaescope.evaluation import FILE, OPTIONS, choose, table
from vaescope.evaluation import evaluate as measure
from vaescope.files import atomic_file
from vaescope.metrics.features import FeatureSet, onnx_features
from vaescope.metrics.protocol import METRICS
from vaescope.metrics.subject import FULL, QUICK
from vaescope.progress import Steps
from vaescope.report import report_html
from vaescope.run import Run
from vaescope.terminal import as_json, say, tell


def evaluate(words: Sequence[str]) -> int:
    """Runs ``vaescope evaluate``."""
    made = Parser(
        "Measure a trained model by one protocol.", "vaescope evaluate runs/main --quick", "vaescope evaluate"
    )
    made.epilog = f"metrics:\n{listed()}\n\n{made.epilog}"
    made.add_argument("run", type=Path, help="the run folder")
    made.add_argument("--quick", action="store_true", help="look at fewer images, for less than 20 seconds")
    made.add_argument("--metrics", help="only these, with commas between them (all but those marked *)")
    made.add_argument("--samples", type=positive, help="draws for each image in the importance weighted bound (500)")
    made.add_argument("--anneal", type=positive, help="steps of each chain in annealed importance sampling (200)")
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
    names = split(asked.metrics)
    for option, users in OPTIONS.items():
        if getattr(asked, option) is not None and not set(users) & set(choose(names)):
            raise UsageError(f"--{option} is for {' and '.join(users)}, not measured here: name it in --metrics, too")
    run = Run.load(asked.run)
    effort = QUICK if asked.quick else FULL
    if asked.samples is not None:
        effort = replace(effort, samples=asked.samples)
    if asked.anneal is not None:
        effort = replace(effort, anneal=asked.anneal)
    space = None if asked.features is None else own_features(asked.features)
    with Steps() as progress:
        found = measure(run, names, effort, asked.seed, tell, progress, space, asked.against)
    update_card(run)
    if asked.json:
        say(as_json(found.record()))
    else:
        say(table(found, names))
        say(f"\n{asked.run / FILE}")
    return 0


def compare(words: Sequence[str]) -> int:
    """Runs ``vaescope compare``."""
    made = Parser(
        "Put trained models side by side: their scores, whether they differ by more than noise, and what their\n"
        "configs differ in. It reads the run folders alone, so that they may come from other machines: what\n"
        "`vaescope evaluate` wrote, or else what training wrote of the test images at its end.",
        "vaescope compare runs/a runs/b -o comparison.html",
        "vaescope compare",
    )
    made.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="two or more run folders")
    made.add_argument("--metric", "--metrics", help="only these metrics or scores, with commas between them")
    made.add_argument("--seeds", action="store_true", help="runs that differ in their seed alone become one column")
    made.add_argument("-o", "--out", type=Path, help="a .md, .csv or .html file")
    made.add_argument("--curves", type=Path, help="a .png of the validation curves (in the .html, beside the .md)")
    made.add_argument("--json", action="store_true", help="print it for programs")
    asked = made.parse_args(words)
    for path, endings in ((asked.out, tuple(FORMATS)), (asked.curves, (".png",))):
        if path is not None:
            output(path, endings)
    found = side_by_side(asked.runs, split(asked.metric), asked.seeds)
    written = [] if asked.out is None else write(found, asked.out)
    if asked.curves is not None:
        with writing(asked.curves):
            if not draw(found, asked.curves):
                raise UsageError("there are no curves to draw: the runs hold no metrics.jsonl with validations")
        written.append(asked.curves)
    if asked.json:
        say(as_json(record(found)))
    elif asked.out is None:
        say(text(found, max(60, min(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns))))
    for path in written if not asked.json else []:
        say(path)
    return 0


def split(names: str | None) -> list[str] | None:
    """Names with commas between them."""
    return None if names is None else [name.strip() for name in names.split(",") if name.strip()]


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


def report(words: Sequence[str]) -> int:
    """Runs ``vaescope report``."""
    made = Parser(
        "Write a page that shows what a run was trained on, what it learned, and what its numbers mean: one HTML file\n"
        "that needs nothing beside it. Measure the run first (vaescope evaluate) to have all numbers in it.",
        "vaescope report runs/main --open",
        "vaescope report",
    )
    made.add_argument("run", type=Path, help="the run folder")
    made.add_argument("-o", "--out", type=Path, help="a .html file (RUN/report.html)")
    made.add_argument("--open", action="store_true", help="show it in a browser")
    asked = made.parse_args(words)
    run = Run.load(asked.run)
    out = output(asked.out or run.folder / "report.html", (".html",))
    with writing(out), atomic_file(out) as temporary:
        temporary.write_text(report_html(run), encoding="utf-8")
    say(out)
    if asked.open:
        webbrowser.open(out.resolve().as_uri())
    return 0
