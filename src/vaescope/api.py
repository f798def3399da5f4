"""vaescope from Python: train on images, and ask what was learned.

::

    import vaescope as vs

    run = vs.train(images, latent=16)     # an array, a folder, a file, or the name of a set
    z = run.encode(images)                # where the model puts them
    x = run.decode(z)                     # what it makes of that
    run.sample(64), run.log_likelihood(images)
    run = vs.load("runs/images")          # another day
"""

import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from vaescope.data.fetch import Report, log
from vaescope.data.own import from_arrays
from vaescope.errors import UsageError
from vaescope.experiment import train as train_run
from vaescope.progress import Download, display
from vaescope.request import expand_data, of_source, options, request
from vaescope.run import Run
from vaescope.summary import describe


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
    report: Report = partial(print, file=sys.stderr, flush=True) if verbose else log
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
    shown, seen = ([display()], Download()) if verbose else ([], None)
    try:
        summary = train_run(run.settings, run.text, run.folder, observers=shown, report=report, progress=seen)
    finally:
        for bar in shown:
            bar.close()
    report(describe(summary))
    return Run.load(run.folder)


def load(folder: str | Path) -> Run:
    """Reads a run folder that ``vaescope train`` or :func:`train` made. Nothing in it is executed.

    Raises:
        UsageError: If it is no run folder, or damaged.
    """
    return Run.load(Path(folder).expanduser())


def _from_home(path: str | Path) -> str:
    """A path as text, ~ written out. Without one it stays as it is, for it may be a name."""
    return str(Path(path).expanduser()) if str(path).startswith("~") else str(path)
