r"""Trains the recipes in ``configs/`` and writes what they reach to ``docs/results.md``.

::

    python -m bench.recipes                      # all that take a few minutes at most, one after another
    python -m bench.recipes iwae vampprior       # some of them; the others keep their rows
    python -m bench.recipes --jobs 2             # two at a time, with one thread each
    python -m bench.recipes --table              # only writes the table from what was measured before

Every recipe is trained by ``vaescope train --config configs/NAME.yaml``, as a user would train it. Then its test images
are scored: -ELBO = distortion + rate with one draw, the importance weighted bound with 25 draws, the active units, and
the accuracy of a vote among the ten nearest validation images in the latent space. A recipe that promises an importance
weighted bound with 5,000 draws is scored with as many; those of several minutes are trained only if they are named.
What was measured is kept in ``bench/results/recipes.json`` with the machine it was measured on.
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from vaescope.errors import RunError
from vaescope.metrics import importance_bound, neighbour_accuracy
from vaescope.models import encode
from vaescope.outline import count
from vaescope.run import Run, validation_examples

ROOT = Path(__file__).parent.parent
RECIPES = ROOT / "configs"
RESULTS = ROOT / "bench" / "results" / "recipes.json"
TABLE = ROOT / "docs" / "results.md"
SAMPLES = 25
PUBLISHED = 5000
"""Draws of the importance weighted bound in the literature."""
MINUTES = 300
"""Seconds of training above which a recipe has to be named."""
TARGET = re.compile(r"[Mm]ust reach a test (−ELBO|-ELBO|distortion) of at most (-?[\d.]+)")


SECONDS = re.compile(r"in at most ([\d,]+) s")
TIGHT = re.compile(r"importance weighted bound with 5,000 draws of at most ([\d.]+)")


def comment(path: Path) -> str:
    """What a recipe says of itself, in one line."""
    return " ".join(line.lstrip("# ") for line in path.read_text().splitlines() if line.startswith("#"))


def target(path: Path) -> tuple[str, float]:
    """What a recipe says that it must reach: the quantity, and the most that it may be in nats per image."""
    found = TARGET.search(comment(path))
    if found is None:
        raise SystemExit(f"{path} does not say what it must reach")
    return found[1].replace("-", "−"), float(found[2])


def tight(path: Path) -> float | None:
    """What a recipe says that its importance weighted bound must reach, in nats per image, where it says so."""
    found = TIGHT.search(comment(path))
    return None if found is None else float(found[1])


def takes_long(path: Path) -> bool:
    """Whether a recipe says that its training takes more than a few minutes."""
    found = SECONDS.search(comment(path))
    return found is not None and int(found[1].replace(",", "")) > MINUTES


def train(recipe: Path, run: Path, root: str | None, threads: int | None, words: Iterable[str] = ()) -> dict[str, Any]:
    """Trains a recipe in a process of its own, as a user would. Returns what the command says of it.

    Args:
        recipe: The config.
        run: The run folder to write.
        root: Where the image sets are, if not where the recipe says.
        threads: How many threads to use, or nothing for as many as torch takes.
        words: Further keys of the config, as on the command line.
    """
    command = ["train", "--config", str(recipe), "--out", str(run), "--json", "--figures.explorer", "false", *words]
    command += ["--data.root", root] if root else []
    threaded = {} if threads is None else {"OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(
        [sys.executable, "-m", "vaescope", *command], capture_output=True, text=True, env=os.environ | threaded
    )
    if done.returncode:
        raise RunError(f"{recipe.stem} failed: {(done.stderr.strip().splitlines() or ['without a word'])[-1]}")
    outcome: dict[str, Any] = json.loads(done.stdout)
    return outcome


def measure(name: str, root: str | None, threads: int | None) -> dict[str, Any]:
    """Trains one recipe and scores it."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / name
        trained = train(RECIPES / f"{name}.yaml", run, root, threads)
        samples = SAMPLES if tight(RECIPES / f"{name}.yaml") is None else PUBLISHED
        return trained | score(run, samples) | {"threads": threads or os.cpu_count()}


def score(folder: Path, samples: int = SAMPLES) -> dict[str, Any]:
    """What is measured of a trained run on its test images, with so many draws in the importance weighted bound."""
    run = Run.load(folder)
    images = run.config.data.load()
    target = run.config.data.target
    shown = target.evaluation([images.validation.images, images.test.images])[1]
    test = shown.conditioned(run.model.context(images.test.labels))
    known = validation_examples(run.model, target, images)
    z = encode(run.model, test)
    scored: dict[str, Any] = {
        "parameters": count(run.model),
        "latents": z.shape[1],
        "active_units": int((z.var(0) > 0.01).sum()),
        "prior": type(run.model.prior).__name__,
        "posterior": type(run.model.posterior.family).__name__,
        "likelihood": type(run.model.likelihood.family).__name__,
        "network": type(getattr(run.config.model, "network", None)).__name__,
        "objective": type(run.config.objective).__name__,
        "labels": run.model.classes > 0,
        "targets": run.config.data.targets,
    }
    if images.validation.labels is not None and images.test.labels is not None:
        voters = encode(run.model, known), images.validation.labels
        scored["neighbour_accuracy"] = neighbour_accuracy(*voters, z, images.test.labels)
    if not run.model.posterior.family.degenerate:
        scored["importance_bound"] = -importance_bound(run.model, test, samples).mean().item()
        scored["samples"] = samples
    return scored


def machine() -> str:
    """The machine in words."""
    info = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", info.read_text()) if info.exists() else []
    return f"{os.cpu_count()} cores of {names[0] if names else platform.machine()}, torch {torch.__version__}"


def row(name: str, result: dict[str, Any]) -> list[str]:
    """One row of the table."""
    test = result["test"]
    quantity, most = target(RECIPES / f"{name}.yaml")
    reached = test["distortion"] if quantity == "distortion" else test["negative_elbo"]

    def number(value: float | None, digits: int = 2) -> str:
        return "–" if value is None else f"{value:,.{digits}f}".replace("-", "−")

    parts = [result["objective"], result["prior"], result["posterior"], result["likelihood"], result["network"]]
    return [
        f"[{name}](../configs/{name}.yaml)",
        " · ".join(parts) + (" · labels" if result["labels"] else ""),
        result["targets"],
        number(test["negative_elbo"]),
        number(result.get("importance_bound")) + (f" ({PUBLISHED:,})" if result.get("samples") == PUBLISHED else ""),
        number(test["distortion"]),
        number(test["rate"]),
        f"{result['active_units']} of {result['latents']}",
        number(result.get("neighbour_accuracy"), 3),
        number(result["seconds"], 0),
        f"{result['parameters']:,}",
        f"{quantity} ≤ {number(most, 1)}" + (" ✓" if reached <= most else " **missed**"),
    ]


HEAD = [
    "recipe", "objective · prior · posterior · likelihood · network", "targets", "−ELBO", f"−IWAE ({SAMPLES})",
    "distortion", "rate", "active units", "kNN", "seconds", "parameters", "must reach",
]  # fmt: skip


def write_table(results: dict[str, Any]) -> None:
    """Writes the table, and above it what its columns mean. What stands below the table is kept."""
    rows = [row(name, results[name]) for name in sorted(results) if (RECIPES / f"{name}.yaml").exists()]
    lines = ["| " + " | ".join(cells) + " |" for cells in (HEAD, ["---"] * len(HEAD), *rows)]
    machines = sorted({f"{result['machine']}, threads a recipe: {result['threads']}" for result in results.values()})
    put_table(TABLE, [f"Measured on {'; '.join(machines)}.", "", *lines])
    put_table(TABLE, beside_published(results), "published")


ELSEWHERE = {
    "VAE, standard prior": 228.70, "VAE, VampPrior": 227.35, "VAE, Exemplar prior": 226.75,
    "two layers of latents, standard prior": 227.37, "two layers, VampPrior": 226.72,
    "two layers, Exemplar prior": 226.53,
}  # fmt: skip
"""-log p(x) of binary Fashion-MNIST by 5,000 draws, as the density estimation table of Norouzi et al. (2020) has it."""


def beside_published(results: dict[str, Any]) -> list[str]:
    """The table of the recipes that were scored with 5,000 draws among published figures, the worst first."""
    ours = {
        f"[{name}](../configs/{name}.yaml)": (result["importance_bound"], f"{result['seconds'] / 60:.0f} min")
        for name, result in results.items()
        if result.get("samples") == PUBLISHED
    }
    rows = ours | {name: (value, "") for name, value in ELSEWHERE.items()}
    ordered = sorted(rows.items(), key=lambda row: -row[1][0])
    return [
        "| model | −log p(x) ≤ | training |",
        "| --- | --- | --- |",
        *(f"| {name} | {value:.2f} | {time} |" for name, (value, time) in ordered),
    ]


def put_table(page: Path, lines: Iterable[str], name: str = "table") -> None:
    """Writes lines to the place that a page has for one of its tables. What stands before and after it is kept."""
    before, mark, after = page.read_text().partition(f"<!-- {name} -->\n")
    _, end, after = after.partition(f"<!-- end of {name} -->\n")
    if not (mark and end):
        raise SystemExit(f"{page} has no place for the table")
    page.write_text(before + mark + "\n" + "\n".join(lines) + "\n\n" + end + after)


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = sorted(path.stem for path in RECIPES.glob("*.yaml"))
    parser.add_argument("names", nargs="*", help=f"recipes (all of them): {', '.join(names)}")
    parser.add_argument("--data-root", help="where the image sets are (as the recipes say)")
    parser.add_argument("--jobs", type=int, default=1, help="how many at a time, with one thread each if 2 or more")
    parser.add_argument("--table", action="store_true", help="only write the table")
    asked = parser.parse_args()
    if wrong := [name for name in asked.names if name not in names]:
        parser.error(f"there is no recipe {wrong[0]} in {RECIPES}")
    results: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}

    def one(name: str) -> None:
        result = measure(name, asked.data_root, 1 if asked.jobs > 1 else None)
        kept = {key: value for key, value in result.items() if key not in ("anatomy", "figures", "folder")}
        results[name] = kept | {"machine": machine()}
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(dict(sorted(results.items())), indent=1) + "\n")
        print(" | ".join(row(name, results[name])), flush=True)

    if not asked.table:
        short = [name for name in names if not takes_long(RECIPES / f"{name}.yaml")]
        with ThreadPoolExecutor(asked.jobs) as pool:
            jobs = [pool.submit(one, name) for name in asked.names or short]
        failed = [str(job.exception()) for job in jobs if job.exception()]
        if failed:
            raise SystemExit("\n".join(failed))
    write_table(results)


if __name__ == "__main__":
    main()
