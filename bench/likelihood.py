r"""Times the importance weighted bound against the ways in which it is usually computed, on the same model and images.

::

    python -m bench.likelihood runs/latent32                        # 50 images with 1,000 draws each, seven blocks
    python -m bench.likelihood runs/latent32 --samples 5000 --images 50
    OMP_NUM_THREADS=1 python -m bench.likelihood runs/latent32 --processor   # on a machine that has other things to do

The ways are timed in turn, block after block, and what is reported are medians over blocks, with the ratio to ours in
the same block and its spread:

- ours: :func:`vaescope.metrics.importance_bound`;
- one image at a time, its draws in batches of 100, encoded anew with every batch, as pythae's ``get_nll`` does it: all
  logits, binary cross-entropy of every pixel, the weights kept until the end;
- plain: the distributions of the model, 2,000 decoder passes at a time, encoded anew with each;
- matmul: nothing but the products of matrices in the decoder, which no way can do without.

The bounds of all are shown beside, and the memory that each takes at its peak, in a process of its own (on Linux).
"""

import argparse
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy

from bench.recipes import machine
from vaescope.data.examples import Examples
from vaescope.errors import UsageError
from vaescope.metrics import importance_bound
from vaescope.models import VAE, aside, draw
from vaescope.objectives import log_weight
from vaescope.run import Run

Way = Callable[[VAE, Examples, int], Tensor]
"""From a model, images and a number of draws to the bounds."""


def one_by_one(model: VAE, examples: Examples, samples: int, batch: int = 100) -> Tensor:
    """One image at a time, encoded anew for every batch of draws, with the cross-entropy of every pixel."""
    bounds = []
    with aside(model, 0):
        for part in examples.split(1):
            weights = []
            for done in range(0, samples, batch):
                count = min(batch, samples - done)
                x = part.values.expand(count, -1, -1, -1)
                p, q = model.prior(), model.infer(x)
                z = q.rsample()
                means = model.likelihood(z).mean.flatten(1)
                scored = -binary_cross_entropy(means, x.flatten(1), reduction="none").sum(1)
                weights.append(scored + p.log_prob(z) - q.log_prob(z))
            bounds.append(torch.cat(weights).double().logsumexp(0) - math.log(samples))
    return torch.stack(bounds)


def plain(model: VAE, examples: Examples, samples: int, images: int = 200, decoded: int = 2000) -> Tensor:
    """Some draws of many images at a time, by the distributions of the model."""
    found = []
    with aside(model, 0):
        for part in examples.split(images):
            count = decoded // images
            sums = [
                log_weight(model(part.values, None, draw(min(count, samples - n))), part.values).double().logsumexp(0)
                for n in range(0, samples, count)
            ]
            found.append(torch.stack(sums).logsumexp(0) - math.log(samples))
    return torch.cat(found)


def matmul(model: VAE, examples: Examples, samples: int, decoded: int = 1000) -> Tensor:
    """Only the products of the decoder's linear layers."""
    weights = [layer.weight for layer in model.likelihood.net.modules() if isinstance(layer, nn.Linear)]
    inputs = [torch.randn(decoded, weight.shape[1]) for weight in weights]
    with torch.no_grad():
        for _ in range(len(examples) * samples // decoded):
            for h, weight in zip(inputs, weights, strict=True):
                h @ weight.T
    return torch.zeros(0)


def ours(model: VAE, examples: Examples, samples: int) -> Tensor:
    """What vaescope does."""
    return importance_bound(model, examples, samples)


WAYS: dict[str, Way] = {"ours": ours, "one image at a time": one_by_one, "plain": plain, "matmul": matmul}


def peak(run: Path, way: str, asked: argparse.Namespace) -> float:
    """The peak memory of a process that computes the bounds in one way, above that of one that does not, in MiB."""
    command = [sys.executable, "-m", "bench.likelihood", str(run), "--images", str(asked.images)]
    command += ["--samples", str(asked.samples), "--only", way]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parent.parent)
    return float(done.stdout.split()[-1])


def resident(name: str) -> float:
    """The memory of this process in MiB: VmRSS, or VmHWM for the most since that was reset."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


def opened(folder: Path, images: int) -> tuple[VAE, Examples]:
    """A run's model and its first test images."""
    run = Run.load(folder)
    data = run.data(lambda line: None)
    shown = run.target.evaluation([data.validation.images, data.test.images])[1]
    return run.model, Examples(shown[:images].values)


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="the folder of a run with an MLP, binary targets and no labels")
    parser.add_argument("--images", type=int, default=50, help="how many test images (50)")
    parser.add_argument("--samples", type=int, default=1000, help="draws for each (1,000)")
    parser.add_argument("--blocks", type=int, default=7, help="times that everything is measured (7)")
    parser.add_argument("--processor", action="store_true", help="time the processor in place of the clock")
    parser.add_argument("--only", choices=list(WAYS), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    try:
        model, examples = opened(asked.run, asked.images)
    except UsageError as error:
        raise SystemExit(str(error)) from None
    if asked.only:
        Path("/proc/self/clear_refs").write_text("5")
        before = resident("VmRSS")
        WAYS[asked.only](model, examples, asked.samples)
        print(resident("VmHWM") - before)
        return
    clock = time.process_time if asked.processor else time.perf_counter
    seconds: dict[str, list[float]] = {name: [] for name in WAYS}
    bounds: dict[str, Tensor] = {}
    for way in WAYS.values():
        way(model, examples[:2], 100)
    for _ in range(asked.blocks):
        for name, way in WAYS.items():
            begun = clock()
            bounds[name] = way(model, examples, asked.samples)
            seconds[name].append(clock() - begun)
    passes = asked.images * asked.samples
    threads = f"{torch.get_num_threads()} of {os.cpu_count()} threads"
    print(f"{asked.images:,} images, {asked.samples:,} draws each, {asked.blocks} blocks; {machine()}, {threads}")
    print(f"{'':<22}{'images/s':>10}{'us a pass':>11}{'times ours':>12}{'spread':>14}{'bound':>10}{'memory':>9}")
    for name, found in seconds.items():
        ratios = [other / own for other, own in zip(found, seconds["ours"], strict=True)]
        middle = statistics.median(found)
        bound = f"{bounds[name].mean():.3f}" if len(bounds[name]) else ""
        print(
            f"{name:<22}{asked.images / middle:>10.2f}{1e6 * middle / passes:>11.2f}{statistics.median(ratios):>12.2f}"
            f"{f'{min(ratios):.2f} to {max(ratios):.2f}':>14}{bound:>10}{peak(asked.run, name, asked):>6.0f} MiB"
        )


if __name__ == "__main__":
    main()
