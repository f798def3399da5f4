"""What each trick of the engine buys: training with all of them against training without one, in processes that take
turns."""

from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial

from bench.against import Worker
from bench.measure import ROOT, Asked, Table, interleaved, median, ratio
from bench.worker import steps_for

NETWORKS: Mapping[str, tuple[str, ...]] = {
    "main.yaml: MLP, 2 latents, batch 256": ("main",),
    "latent32.yaml: MLP, 32 latents, mixture prior, batch 256": ("latent32",),
    "784-400-20, batch 128": (
        "main", "--model.latent", "20", "--model.network.width", "400", "--model.network.encoder_blocks", "0",
        "--model.network.decoder_blocks", "0", "--trainer.batch_size", "128",
    ),
    "conv.yaml: three levels of convolutions, batch 256": ("conv",),
    "deepconv.yaml: five strided convolutions, batch 512": ("deepconv", "--trainer.batch_size", "512"),
}  # fmt: skip
"""A recipe, and options that change it."""

TRICKS: Mapping[str, tuple[str, ...]] = {
    "bfloat16": ("--engine.precision", "float32"),
    "gradients by hand": ("--engine.kernels", "false"),
    "channels last": ("--engine.channels_last", "false"),
    "memory kept": ("--engine.keep_memory", "false"),
    "fused optimizer": ("--trainer.optimizer.fused", "false"),
}
"""What switches each off."""


def measure(asked: Asked) -> list[Table]:
    """How many times as long a step takes without each trick."""
    columns = ["network", "images/s with all", *(f"without {trick}" for trick in TRICKS), "without any"]
    table = Table("Time of a step of training without a trick, times that with all", columns)
    table.notes = [
        "Above 1 the trick pays. 95 % intervals by bootstrap over blocks. bfloat16 is what `engine.precision: auto` "
        "takes on a machine that was measured to be faster with it; where it does not, that column is 1."
    ]
    for name, words in list(NETWORKS.items())[: 1 if asked.quick else None]:
        asked.say(f"ablation: {name}")
        table.rows.append([name, *_row(words, asked, table.data.setdefault(name, {}))])
    return [table]


def _row(words: tuple[str, ...], asked: Asked, kept: dict[str, list[float]]) -> list[float | str]:
    """Images/s with all tricks, then the ratios; the seconds of all blocks are kept."""
    base = ["--config", str(ROOT / "configs" / f"{words[0]}.yaml"), *words[1:], "--trainer.epochs", "1000"]
    base += ["--data.root", asked.root] if asked.root else []
    everything = [word for off in TRICKS.values() for word in off]
    ways = {"all": [], **{trick: [*off] for trick, off in TRICKS.items()}, "none": everything}
    with ExitStack() as stack:
        workers = {way: stack.enter_context(Worker(ROOT, [*base, *off])) for way, off in ways.items()}
        steps = steps_for(workers["all"], 0.2 if asked.quick else 1.0)
        blocks = interleaved({way: partial(workers[way].seconds, steps) for way in workers}, asked.blocks, asked)
    kept |= {way: [seconds / steps for seconds in blocks[way]] for way in blocks}
    size = int(words[words.index("--trainer.batch_size") + 1]) if "--trainer.batch_size" in words else 256
    return [size / median(kept["all"]), *(str(ratio(kept[way], kept["all"])) for way in ways if way != "all")]
