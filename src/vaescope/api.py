"""vaescope from Python: train on images, and ask what was learned.

::

    import vaescope as vs

    run = vs.train(images, latent=16)     # an array, a folder, a file, or the name of a set
    z = run.encode(images)                # where the model puts them
    x = run.decode(z)                     # what it makes of that
    run.sample(64), run.log_likelihood(images)
    run = vs.load("runs/images")          # another day
    vs.resume("runs/images", epochs=40)   # goes on, exactly, or longer
    vs.evaluate(run, quick=True)          # scores with their errors, in a table
    vs.compare(["runs/a", "runs/b"])      # side by side: which is better, by more than noise?
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vaescope.card import update_card
from vaescope.comparison import Comparison
from vaescope.comparison import compare as side_by_side
from vaescope.data.fetch import Report, log
from vaescope.data.own import from_arrays
from vaescope.errors import UsageError
from vaescope.evaluation import Evaluation
from vaescope.evaluation import evaluate as measure
from vaescope.experiment import train as train_run
from vaescope.metrics.subject import FULL, QUICK
from vaescope.progress import Download, Steps, display
from vaescope.request import Request, expand_data, going_on, of_source, options, request
from vaescope.run import Run
from vaescope.summary import describe
from vaescope.terminal import tell


def train(
    images: Any = "fashion-mnist",
    labels: Any = None,
    *,
    latent: int | None = None,
    epochs: int | None = None,
    seed: int | None = None,
    config: str | Path | None = None,
    keys: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    verbose: bool = True,
) -> Run:
    """Trains a model on images, scores it, draws it, and leaves a run folder, as ``vaescope train`` does.

    What is not said is picked from the images, see :mod:`vaescope.picks`.

    Args:
        images: An array or a tensor with shape (N, H, W), (N, H, W, C) or (N, C, H, W), uint8, uint16, bool or floats
            in [0, 1]; a dict of them with the keys train, validation and test; the path of a folder or file; the name
            of a set, such as fashion-mnist, or hf:NAME.
        labels: A number or a name for each image of an array, with shape (N,), or a dict of them.
        latent: The number of latents.
        epochs: How many times to go through the training images.
        seed: Decides the weights, the order of the images, all noise and the pictures.
        config: A YAML file with any keys of a config.
        keys: Keys of a config with their values, such as ``{"model.prior": "VampPrior", "trainer.batch_size": 64}``.
        out: The run folder; by default a new one in ``runs/``.
        verbose: Whether to tell on standard error what is being done.

    Returns:
        The run, with the best weights.

    Raises:
        UsageError: A ``ValueError`` with one line that says what to change.
        RunError: If training breaks down.

    Example::

        run = vs.train("photos/", latent=16, keys={"model.prior": "VampPrior", "figures.frames": 0})
        run.encode("photos/")  # (200, 16)
    """
    report: Report = tell if verbose else log
    short = {"model.latent": latent, "trainer.epochs": epochs, "seed": seed}
    asked = {key: value for key, value in short.items() if value is not None} | dict(keys or {})
    words = [
        *(["--config", _from_home(config)] if config else []),
        *(["--out", _from_home(out)] if out else []),
        *options(asked),
    ]
    if isinstance(images, str | Path):
        if labels is not None:
            raise UsageError("labels were given beside a path: they go with arrays; the folders of a path are classes")
        run = request(*expand_data(["--data", _from_home(images), *words], report), report)
    else:
        if len(shape := tuple(getattr(images, "shape", ()))) == 2:
            raise UsageError(f"images has shape {shape}, which is one image: rows of pixels need reshape(-1, H, W)")
        run = request(*of_source(from_arrays(images, labels), words, report), report)
    return _done(run, verbose)


def resume(
    run: str | Path, *, epochs: int | None = None, keys: Mapping[str, Any] | None = None, verbose: bool = True
) -> Run:
    """Goes on with a run that was interrupted, exactly as if it had not been, or trains a finished one longer, as
    ``vaescope train --resume`` does.

    Args:
        run: The run folder.
        epochs: How many times to go through the training images, in all.
        keys: Further keys that may change, see :data:`vaescope.config.CHANGEABLE`, with their values.
        verbose: Whether to tell on standard error what is being done.

    Returns:
        The run, with the best weights.

    Raises:
        UsageError: A ``ValueError`` with one line, if it is finished, is being trained, or cannot be gone on with.
        RunError: If training breaks down.

    Example::

        run = vs.resume("runs/main", epochs=32)
    """
    asked = ({} if epochs is None else {"trainer.epochs": epochs}) | dict(keys or {})
    return _done(going_on(["--resume", _from_home(run), *options(asked)]), verbose)


def _done(asked: Request, verbose: bool) -> Run:
    """Trains as asked."""
    report: Report = tell if verbose else log
    shown, seen = ([display()], Download()) if verbose else ([], None)
    try:
        summary = train_run(asked.settings, asked.text, asked.folder, asked.resume, shown, report, seen)
    finally:
        for bar in shown:
            bar.close()
    report(describe(summary))
    return Run.load(asked.folder)


def load(folder: str | Path) -> Run:
    """Reads a run folder that ``vaescope train`` or :func:`train` made. Nothing in it is executed.

    Raises:
        UsageError: If it is no run folder, or damaged.
    """
    return Run.load(Path(folder).expanduser())


def evaluate(
    run: Run | str | Path,
    metrics: str | Sequence[str] | None = None,
    *,
    quick: bool = False,
    seed: int = 0,
    verbose: bool = True,
) -> Evaluation:
    """Measures a trained model on the images of its run, as ``vaescope evaluate`` does, and keeps it in the run folder.

    Args:
        run: The run, or its folder.
        metrics: The names of the metrics to measure; by default all but those that have to be asked for.
        quick: Whether to look at fewer images, for less than 20 seconds in all.
        seed: Decides all draws.
        verbose: Whether to tell on standard error what is being done.

    Returns:
        What was measured: printed or shown in a notebook it is a table. ``find("rate")`` is one score.

    Raises:
        UsageError: If there is no such metric, one that was asked for does not apply, or the data are not there.
    """
    known = run if isinstance(run, Run) else load(run)
    names = [metrics] if isinstance(metrics, str) else metrics
    effort = QUICK if quick else FULL
    if verbose:
        with Steps() as progress:
            found = measure(known, names, effort, seed, tell, progress)
    else:
        found = measure(known, names, effort, seed)
    update_card(known)
    return found


def compare(
    runs: Sequence[Run | str | Path], metrics: str | Sequence[str] | None = None, *, seeds: bool = False
) -> Comparison:
    """Puts trained models side by side, as ``vaescope compare`` does: it reads what was measured of them before.

    Args:
        runs: Two or more runs, or their folders.
        metrics: The names of metrics or scores, such as "elbo" or "rate"; by default all.
        seeds: Whether runs that differ in their seed alone become one column, with the mean over them.

    Returns:
        The comparison: printed or shown in a notebook it is a table.

    Raises:
        UsageError: If there are fewer than two, one has no score, or no score can be compared with another.
    """
    if isinstance(runs, str | Path | Run):
        raise UsageError(f"runs is {runs}: give two or more, such as [run, 'runs/other']")
    folders = [run.folder if isinstance(run, Run) else Path(run) for run in runs]
    return side_by_side(folders, [metrics] if isinstance(metrics, str) else metrics, seeds)


def _from_home(path: str | Path) -> str:
    """A path as text, ~ written out. Without one it stays as it is, for it may be a name."""
    return str(Path(path).expanduser()) if str(path).startswith("~") else str(path)
