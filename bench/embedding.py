r"""How useful the latents of ``configs/embedding.yaml`` are: do images of one class lie near each other?

::

    python -m bench.embedding                                     # three seeds in 32 and in 2 dimensions
    python -m bench.embedding --seeds 1 --latents 32              # one training
    python -m bench.embedding --jobs 2                            # two trainings at a time, with one thread each
    python -m bench.embedding --validation -- --objective.beta 4  # a variation, asked on the validation images
    python -m bench.embedding --table                             # only writes the table from what was measured before

The recipe is trained by ``vaescope train --config configs/embedding.yaml --model.latent D``, as a user would train it,
without labels. Then every test image is given the class of most of its ten nearest training images, by the Euclidean
distance of their posterior means. Principal components of the same images, as many as there are latents, and the
pixels themselves are measured in the same way.

What was measured is kept in ``bench/results/embedding.json`` with the machine it was measured on, and written to
``docs/embedding.md``. The recipe was chosen on validation images: ``--validation`` asks them in place of the test
images, and then, with other keys of the config or with less than the whole benchmark, nothing is kept.
"""

import argparse
import json
import os
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from bench.recipes import ROOT, machine, put_table, train
from vaescope.config import read
from vaescope.data.examples import Examples
from vaescope.data.images import ImageSet, Split
from vaescope.metrics import neighbour_accuracy, principal_axes
from vaescope.models import encode
from vaescope.run import Run

RECIPE = ROOT / "configs" / "embedding.yaml"
RESULTS = ROOT / "bench" / "results" / "embedding.json"
PAGE = ROOT / "docs" / "embedding.md"
NEIGHBOURS = 10
SEEDS = 3

PROMISE = re.compile(r"at least (0\.\d+) with (\d+)")

Embedding = Callable[[Tensor], Tensor]
"""From images as bytes with shape (N, C, H, W) to points with shape (N, D)."""


def promised() -> dict[int, float]:
    """The least accuracy that the recipe says that it must reach, by the number of latents."""
    said = " ".join(line.lstrip("# ") for line in RECIPE.read_text().splitlines() if line.startswith("#"))
    return {int(latents): float(least) for least, latents in PROMISE.findall(said)}


def pixels(images: Tensor) -> Tensor:
    """Greys in [0, 1] as rows, with shape (N, C * H * W)."""
    return images.flatten(1).float() / 255


def principal(images: Tensor, latents: int) -> Embedding:
    """The projection to the first principal components of images.

    Args:
        images: Bytes, with shape (N, C, H, W).
        latents: The number of components.
    """
    axes = principal_axes(Examples(images, view=pixels), latents)
    return lambda images: axes(pixels(images))


def ask(embed: Embedding, images: ImageSet, asked: Split) -> dict[str, Any]:
    """How many of the asked images an embedding puts among training images of their class, and the time it takes."""
    labels = images.train.labels, asked.labels
    if labels[0] is None or labels[1] is None:
        raise SystemExit(f"{images.title} has no labels to measure an embedding by")
    begun = time.perf_counter()
    known, points = embed(images.train.images[:]), embed(asked.images[:])
    seconds = time.perf_counter() - begun
    accuracy = neighbour_accuracy(known, labels[0], points, labels[1], NEIGHBOURS)
    return {"accuracy": accuracy, "embedding_seconds": seconds, "dimensions": known.shape[1]}


def ask_vae(latents: int, seed: int, asked: argparse.Namespace) -> dict[str, Any]:
    """Trains the recipe with one seed and asks it."""
    words = ["--model.latent", str(latents), "--seed", str(seed), *asked.words]
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "embedding"
        trained = train(RECIPE, run, asked.data_root, 1 if asked.jobs > 1 else None, words)
        kept = Run.load(run)
        images = kept.config.data.load()

        def means(images: Tensor) -> Tensor:
            return encode(kept.model, kept.config.data.target.evaluation([images])[0])

        scored = ask(means, images, images.validation if asked.validation else images.test)
    return {"embedding": "VAE", "seed": seed, "training_seconds": trained["seconds"]} | scored


def ask_others(latents: Iterable[int], images: ImageSet, asked: Split) -> list[dict[str, Any]]:
    """Principal components and pixels, which no seed changes."""
    results = []
    for count in latents:
        begun = time.perf_counter()
        embed = principal(images.train.images[:], count)
        seconds = time.perf_counter() - begun
        results.append({"embedding": "PCA", "training_seconds": seconds} | ask(embed, images, asked))
    return [*results, {"embedding": "pixels", "training_seconds": 0.0} | ask(pixels, images, asked)]


def table(results: list[dict[str, Any]]) -> list[str]:
    """The lines of the table: one row for each embedding and number of dimensions, means over seeds."""
    rows: dict[tuple[int, str], list[dict[str, Any]]] = {}
    for result in results:
        rows.setdefault((result["dimensions"], result["embedding"]), []).append(result)
    lines = ["| dimensions | embedding | accuracy | seeds | training, s | embedding, s |", "|" + " --- |" * 6]
    for (dimensions, name), same in sorted(rows.items(), key=lambda row: (-row[0][0], row[1][0]["embedding"] != "VAE")):
        accuracies = [result["accuracy"] for result in same]
        spread = f" ({min(accuracies):.4f} to {max(accuracies):.4f})" if len(same) > 1 else ""
        seeds = len(same) if name == "VAE" else "–"
        times = (statistics.mean(r[key] for r in same) for key in ("training_seconds", "embedding_seconds"))
        cells = [dimensions, name, f"{statistics.mean(accuracies):.4f}{spread}", seeds, *(f"{t:.1f}" for t in times)]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return lines


def write_table(kept: dict[str, Any]) -> None:
    """Writes the table to its page."""
    put_table(
        PAGE, [f"Measured on {kept['machine']}, threads a training: {kept['threads']}.", "", *table(kept["results"])]
    )


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="other keys of the config, after --; nothing is kept then")
    parser.add_argument("--data-root", help="where the image sets are (as the recipe says)")
    parser.add_argument("--latents", type=int, nargs="+", default=[32, 2], help="numbers of dimensions (32 2)")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how many seeds are trained (3)")
    parser.add_argument("--jobs", type=int, default=1, help="how many at a time, with one thread each if 2 or more")
    parser.add_argument("--validation", action="store_true", help="ask the validation images; nothing is kept then")
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")
    parser.add_argument("--table", action="store_true", help="only write the table")
    asked = parser.parse_args()
    if asked.table:
        write_table(json.loads(RESULTS.read_text()))
        return
    trainings = [(latents, seed) for latents in asked.latents for seed in range(asked.seeds)]
    with ThreadPoolExecutor(asked.jobs) as pool:
        results = list(pool.map(lambda pair: ask_vae(pair[0], pair[1], asked), trainings))
    settings = read(RECIPE).data
    images = (settings if asked.data_root is None else replace(settings, root=Path(asked.data_root))).load()
    results += ask_others(asked.latents, images, images.validation if asked.validation else images.test)
    threads = 1 if asked.jobs > 1 else os.cpu_count()
    kept = {"machine": machine(), "threads": threads, "neighbours": NEIGHBOURS, "results": results}
    print(json.dumps(kept) if asked.json else "\n".join(table(results)))
    whole = asked.seeds >= SEEDS and set(promised()) <= set(asked.latents)
    if whole and not (asked.validation or asked.words):
        RESULTS.write_text(json.dumps(kept, indent=1) + "\n")
        write_table(kept)


if __name__ == "__main__":
    main()
