"""What a GPU makes of training: whether replayed steps are plain ones, how fast they are, how soon a model is good.

The first table is a check, to be run on every new kind of GPU: the losses of replayed and of compiled steps beside
those of plain ones, from the same seed. Ceilings are measured in the same process, in the precision of the row.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from bench.measure import ROOT, Asked, Table, interleaved, median, state
from vaescope.engine import at_work
from vaescope.metrics import negative_elbo
from vaescope.run import validation_examples
from vaescope.training import State, fit

PLAIN = ("--engine.graphs", "false", "--engine.compile", "never")
REPLAYED = ("--engine.compile", "never")
COMPILED = ("--engine.compile", "always")

MLP = (
    "main", "--model.latent", "20", "--model.network.width", "400", "--model.network.encoder_blocks", "0",
    "--model.network.decoder_blocks", "0",
)  # fmt: skip
NETWORKS: dict[str, tuple[tuple[str, ...], int]] = {
    "784-400-20": (MLP, 128),
    "784-400-20, large batch": (MLP, 1024),
    "five convolutions": (("deepconv", "--model.latent", "3"), 512),
}
"""Options of each network, and images a step."""

CHECKED: dict[str, tuple[str, ...]] = {
    "main.yaml": ("main",),
    "latent32.yaml": ("latent32",),
    "deepconv.yaml": ("deepconv", "--trainer.batch_size", "128"),
    "likelihood.yaml, from the ELBO to several draws": ("likelihood", "--objective.begin", "0.5"),
}
"""Runs whose losses are compared."""

GOAL = 236.0
"""Nats per image that the time to quality is told for."""


def measure(asked: Asked) -> list[Table]:
    """All tables; none where there is no GPU, so that what one elsewhere was measured to do is not written over."""
    if not torch.cuda.is_available():
        asked.say("gpu: torch finds no GPU here, so nothing is measured")
        return []
    return [agreement(asked), throughput(asked), time_to_quality(asked)]


def begun(words: Sequence[str], asked: Asked, *options: str) -> tuple[Any, State]:
    """The settings and the first state of a recipe with some options."""
    return state(["--config", str(ROOT / "configs" / f"{words[0]}.yaml"), *words[1:], *options], asked.root)


# Agreement


def agreement(asked: Asked) -> Table:
    """The losses of a short run, replayed and compiled, beside those of plain steps."""
    columns = ["run", "precision", "steps", "replayed − plain", "compiled − plain", "told"]
    table = Table("Whether fast steps on this GPU are plain steps: the largest difference of losses, relative", columns)
    table.notes = ["0 is to the last bit. Rounding grows along a run: some 0.001 after hundreds of steps is no error."]
    steps = 20 if asked.quick else 300
    for name, words in list(CHECKED.items())[: 1 if asked.quick else None]:
        for precision in ("float32", "tf32", "bfloat16"):
            asked.say(f"gpu: {name} in {precision}")
            options = ("--trainer.steps", str(steps), "--engine.precision", precision)
            told: list[str] = []
            each = [losses(words, asked, told, *options, *way) for way in (PLAIN, REPLAYED, COMPILED)]
            apart = [((fast - each[0]) / each[0]).abs().max().item() for fast in each[1:]]
            table.rows.append(
                [name, precision, steps, *(f"{a:.1e}" if a else "0" for a in apart), "; ".join(told) or "–"]
            )
            table.data[f"{name}, {precision}"] = {"differences": apart, "told": told}
    return table


def losses(words: Sequence[str], asked: Asked, told: list[str], *options: str) -> Tensor:
    """The loss of every step of a run, with shape (S,)."""
    run = begun(words, asked, *options)[1]
    run.report = told.append
    if run.recorded is not None:
        run.recorded.report = told.append
    return torch.stack([run.advance()["loss"].clone() for _ in range(run.total)]).double().cpu()


# Throughput


def throughput(asked: Asked) -> Table:
    """Images a second, plain, replayed and compiled, in every precision."""
    columns = ["network", "batch", "precision", "plain, images/s", "replayed", "replayed and compiled", "µs a step"]
    table = Table("Training throughput on a GPU", [*columns, "% of ceiling"])
    table.notes = [
        "µs a step and % of ceiling: of the fastest way. The ceiling is a product of matrices of 8192x8192, or for "
        "convolutions one with 256 channels and 3x3 pixels forward and backward, in the precision of the row."
    ]
    for name, (words, batch) in list(NETWORKS.items())[: 1 if asked.quick else None]:
        for precision in ("float32", "tf32", "bfloat16"):
            asked.say(f"gpu: {name} in {precision}")
            options = (
                "--trainer.batch_size",
                str(batch),
                "--trainer.epochs",
                "100000",
                "--engine.precision",
                precision,
            )
            ways = [begun(words, asked, *options, *way)[1] for way in (PLAIN, REPLAYED, COMPILED)]
            count = 20 if asked.quick else 1000
            most, operations = ceiling(ways[0]), flops(ways[0])
            taken = interleaved(
                {str(k): partial(advance, way, count) for k, way in enumerate(ways)}, asked.blocks, asked
            )
            each = [median(seconds) / count for seconds in taken.values()]
            table.rows.append(
                [
                    name,
                    batch,
                    precision,
                    *(batch / t for t in each),
                    1e6 * min(each),
                    100 * operations / min(each) / most,
                ]
            )
            table.data[f"{name}, {precision}"] = {
                "seconds": taken,
                "steps": count,
                "flops": operations,
                "ceiling": most,
            }
    return table


def advance(run: State, steps: int) -> None:
    """Makes some steps, and waits for them."""
    for _ in range(steps):
        run.advance()
    torch.cuda.synchronize()


def flops(run: State) -> int:
    """The operations of a plain step."""
    with FlopCounterMode(display=False) as counter:
        run.play(run.batches(run.step), run.share(run.step))
    return int(counter.get_total_flops())


def ceiling(run: State) -> float:
    """The operations a second that this GPU reaches in the kind of product that a network consists of."""
    convolutions = any(isinstance(module, nn.Conv2d) for module in run.model.modules())
    with at_work(run.engine):
        return _convolution(run.engine.precision) if convolutions else _matmul(run.engine.precision)


def _matmul(precision: str) -> float:
    kind = torch.bfloat16 if precision == "bfloat16" else torch.float32
    a = torch.randn(8192, 8192, device="cuda", dtype=kind)
    return 2 * 8192**3 / _least(lambda: torch.mm(a, a))


def _convolution(precision: str) -> float:
    kind = torch.bfloat16 if precision == "bfloat16" else torch.float32
    layer = nn.Conv2d(256, 256, 3, padding=1, bias=False, device="cuda", dtype=kind)
    x = torch.randn(512, 256, 14, 14, device="cuda", dtype=kind, requires_grad=True)
    layer.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    x = x.detach().to(memory_format=torch.channels_last).requires_grad_()
    gradient = torch.randn_like(layer(x))
    operations = 3 * 2 * gradient.numel() * 256 * 9
    return operations / _least(lambda: layer(x).backward(gradient))


def _least(work: Callable[[], object], times: int = 20) -> float:
    """The least seconds of some work on the GPU."""
    found = []
    for _ in range(times):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        work()
        end.record()
        end.synchronize()
        found.append(begin.elapsed_time(end) / 1000)
    return min(found)


# Time to quality


def time_to_quality(asked: Asked) -> Table:
    """Test -ELBO of ``latent32.yaml`` after runs of several lengths, each with its whole schedule."""
    table = Table("Test −ELBO of latent32.yaml on a GPU", ["epochs", "steps", "seconds of training", "−ELBO, nats"])
    table.notes = ["Seconds from the first step to the last, recording the step and one validation included."]
    reached: list[float] = []
    for epochs in (1,) if asked.quick else (4, 8, 12, 16, 24, 48):
        asked.say(f"gpu: latent32.yaml, {epochs} epochs")
        seconds, bound, steps = trained(epochs, asked)
        table.rows.append([epochs, steps, seconds, bound])
        reached += [seconds] if bound <= GOAL else []
    first = min(reached, default=None)
    table.data["seconds to the goal"] = first
    table.notes.append(f"−ELBO of {GOAL:g} or less: {'not reached' if first is None else f'{first:.2f} s'}.")
    return table


def trained(epochs: int, asked: Asked) -> tuple[float, float, int]:
    """Seconds of training, test -ELBO in nats per image and the number of steps of a run."""
    settings, run = begun(("latent32",), asked, "--trainer.epochs", str(epochs), *REPLAYED)
    images = settings.data.load(lambda line: None)
    trainer = replace(settings.trainer, validate_every=run.total, log_every=run.total)
    torch.cuda.synchronize()
    fit(run, trainer, validation_examples(run.model, settings.data.target, images))
    test = settings.data.target.evaluation([images.validation.images, images.test.images])[1]
    bound = negative_elbo(run.model, test).negative_elbo
    assert bound is not None
    return run.seconds, bound, run.total
