"""What is tried in a process of its own: a library that does not import, hangs or crashes takes only that with it.

The parent names the stages. The child goes through them, and prints what it finds of each as one line of JSON as soon
as it is found, so that the last line says how far it came. A stage that hangs is ended by an alarm of the system, which
also ends code that is not Python. The stages after one in which the child died are tried in another child.
"""

import importlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vaescope.errors import one_line

SECONDS = 60
"""That a stage may take. On a slow disk a first import of torch takes twenty."""

START = "import json, sys; sys.path[:] = json.loads(sys.argv.pop(1)); from vaescope.health.probe import child; child()"
"""The child imports from the same places as its parent."""


@dataclass(frozen=True)
class Answer:
    """What came of a stage.

    Args:
        facts: What it found.
        seconds: How long it took.
        error: Why it found nothing, in one line.
        told: The warnings that were given on the way.
    """

    facts: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    error: str = ""
    told: Sequence[str] = ()


def ask(stages: Sequence[str], seconds: int = SECONDS) -> dict[str, Answer]:
    """Goes through stages in other processes.

    Args:
        stages: Their names in :data:`STAGES`, in their order.
        seconds: How long each may take.

    Returns:
        What came of each. Where torch could not even be tried, nothing that needs it is.
    """
    answers: dict[str, Answer] = {}
    left = list(stages)
    while left:
        found, end = _tried(left, seconds)
        answers |= found
        left = left[len(found) :]
        if left:
            answers[left.pop(0)] = Answer(error=end)
        if answers.get("torch", Answer()).error:
            left = [stage for stage in left if stage in ALONE]
    return answers


def _tried(stages: Sequence[str], seconds: int) -> tuple[dict[str, Answer], str]:
    """What a child finds, and how it ended if not with the last stage."""
    command = [sys.executable, "-P", "-c", START, json.dumps(sys.path), str(seconds), *stages]
    try:
        done = subprocess.run(command, capture_output=True, timeout=seconds * len(stages) + 10)
        output, code, last = done.stdout, done.returncode, done.stderr.decode(errors="replace").strip()
    except subprocess.TimeoutExpired as late:
        output, code, last = late.stdout or b"", -int(getattr(signal, "SIGALRM", 14)), ""
    lines = [json.loads(line) for line in output.splitlines() if line.endswith(b"}")]
    return {line.pop("stage"): Answer(**line) for line in lines}, _ended(code, last, seconds)


def _ended(code: int, said: str, seconds: int) -> str:
    """How a child ended, in words."""
    if code == -int(getattr(signal, "SIGALRM", 14)):
        return f"it did not come to an end within {seconds} seconds"
    how = f"it was ended by {signal.Signals(-code).name}" if code < 0 else f"it ended with code {code}"
    return f"{how} ({one_line(said.splitlines()[-1])})" if said else how


def child() -> None:
    """Goes through the stages on the command line, of which the first word is the seconds that each may take."""
    speak = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print is no answer
    seconds, *stages = sys.argv[1:]
    for stage in stages:
        if hasattr(signal, "setitimer"):
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_REAL, float(seconds))
        print(json.dumps(_answer(stage)), file=speak, flush=True)
    os._exit(0)  # libraries that crash when they are torn down have answered all the same


def _answer(stage: str) -> dict[str, Any]:
    """What comes of a stage."""
    facts, error, begun = {}, "", time.perf_counter()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            facts = STAGES[stage]()
        except BaseException as caught:  # SystemExit too: some libraries exit where they should raise
            error = f"{type(caught).__name__}: {one_line(caught)}"
    seconds, said = round(time.perf_counter() - begun, 3), [one_line(str(told_one.message)) for told_one in told]
    return {"stage": stage, "facts": facts, "seconds": seconds, "error": error, "told": said}


def imported(name: str) -> dict[str, Any]:
    """A library, its version and where it lies."""
    module = importlib.import_module(name)
    version = getattr(module, "__version__", None)
    if version is None:
        raise ImportError(f"{origin(name)} is imported as {name}, but is something else")
    return {"version": str(version), "file": origin(name)}


def origin(name: str) -> str:
    """Where a library lies; nothing where there is none."""
    try:
        found = PathFinder.find_spec(name) or find_spec(name)  # the second would give what this process has loaded
    except (ImportError, ValueError):
        return ""
    return "" if found is None else found.origin or str(next(iter(found.submodule_search_locations or ()), ""))


def with_torch() -> dict[str, Any]:
    """torch, for what it was built, and whether it can take what numpy has."""
    facts = imported("torch")
    import numpy as np
    import torch

    torch.from_numpy(np.ones(2, np.float32)).numpy()
    return facts | {"cuda": torch.version.cuda, "hip": torch.version.hip}


def with_threads() -> dict[str, Any]:
    """On how many threads torch computes."""
    import torch

    return {"threads": torch.get_num_threads()}


def with_products() -> dict[str, Any]:
    """The errors of products of matrices, relative to the largest entry, and whether tiny numbers are kept."""
    import torch

    a, b = (torch.randn(64, 64, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    exact = a.double() @ b.double()

    def error(dtype: torch.dtype) -> float:
        return float(((a.to(dtype) @ b.to(dtype)).double() - exact).abs().max() / exact.abs().max())

    tiny = torch.tensor([1e-40]) * 1.0
    return {"float32": error(torch.float32), "bfloat16": error(torch.bfloat16), "denormals": bool(tiny.item() > 0)}


def with_cuda() -> dict[str, Any]:
    """The GPUs that torch finds, for which it was built, and whether each can multiply."""
    import torch

    if not torch.cuda.is_available():
        return {"devices": []}
    devices = []
    for index in range(torch.cuda.device_count()):
        major, minor = torch.cuda.get_device_capability(index)
        try:
            x = torch.ones(64, 64, device=f"cuda:{index}")
            works = "" if float((x @ x).sum().item()) == 64.0**3 else "products are wrong"
        except RuntimeError as error:
            works = one_line(error)
        devices.append({"name": torch.cuda.get_device_name(index), "kind": f"sm_{major}{minor}", "error": works})
    return {"devices": devices, "kinds": torch.cuda.get_arch_list()}


def with_matplotlib() -> dict[str, Any]:
    """Where matplotlib keeps what it found out about fonts, and whether it draws without a screen."""
    facts = imported("matplotlib")
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure((1, 1))
    figure.text(0, 0, "x")
    FigureCanvasAgg(figure).draw()
    return facts | {"cache": matplotlib.get_cachedir()}


def with_vaescope() -> dict[str, Any]:
    """All of vaescope that training needs, and which precision it would take here, if that was measured."""
    facts = imported("vaescope")
    importlib.import_module("vaescope.experiment")
    from vaescope.engine.precision import remembered

    return facts | {"precision": remembered()}


def with_measured() -> dict[str, Any]:
    """How many times faster bfloat16 is here, measured now if it was not before."""
    from vaescope.engine import capability

    return {"precision": capability()}


def with_openmp() -> dict[str, Any]:
    """The OpenMP libraries that are loaded by now."""
    maps = Path("/proc/self/maps")
    text = maps.read_text(errors="replace") if maps.exists() else ""
    return {"libraries": sorted(set(re.findall(r"/\S*/lib(?:iomp|gomp|omp)[^/\s]*\.so\S*", text)))}


def with_torchvision() -> dict[str, Any]:
    """torchvision, and whether its operators are there."""
    facts = imported("torchvision")
    import torch

    torch.ops.torchvision.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)
    return facts


def with_training() -> dict[str, Any]:
    """Two steps of a tiny model on the images that come with vaescope, with pictures and all that training writes."""
    from vaescope.experiment import train
    from vaescope.request import understood

    words = "--data sample --trainer.steps 2 --trainer.batch_size 20 --model.network.width 8 --engine.precision float32"
    few = "--figures.frames 0 --figures.points 20 --figures.grid 3 --figures.samples 4 --figures.explorer false"
    with tempfile.TemporaryDirectory(prefix="vaescope-trial-") as folder:
        asked = understood([*words.split(), *few.split(), "--out", f"{folder}/run"])
        train(asked.settings, asked.text, asked.folder)
        files = sum(path.is_file() for path in Path(folder).rglob("*"))
    return {"files": files}


STAGES: dict[str, Callable[[], dict[str, Any]]] = {
    "numpy": lambda: imported("numpy"),
    "torch": with_torch,
    "threads": with_threads,
    "products": with_products,
    "cuda": with_cuda,
    "matplotlib": with_matplotlib,
    "vaescope": with_vaescope,
    "measured": with_measured,
    "training": with_training,
    "openmp": with_openmp,
    "torchvision": with_torchvision,
    "torchaudio": lambda: imported("torchaudio"),
}
"""What can be tried, by its name, in an order in which each only needs those before it."""

ALONE = ("numpy", "matplotlib")
"""What needs no torch."""
