"""Searches for the recipe with the best -ELBO after a given number of training seconds, on validation images alone.

::

    python -m bench.search configs/latent32.yaml --budget 30      # every change alone, then those that helped, together
    python -m bench.search configs/latent32.yaml --budget 30 --only "--trainer.batch_size 128" --seeds 3
    python -m bench.search --table                                # what was tried so far, the best first

How fast a machine happens to be would decide a search that counts seconds. A budget is therefore counted in steps of
``configs/latent32.yaml``, each of which takes 10 ms on two quiet cores: a candidate whose step takes 1.3 times as long,
measured in turns with that one, gets 1.3 times fewer of them. A trial trains on the training images from a seed and is
scored by the -ELBO of the validation images; test images are never looked at. Trials are kept in
``bench/results/search.json`` and none is made twice, so a search that was stopped goes on where it was.
"""

import argparse
import json
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.measure import RESULTS, Asked, interleaved, ratio, state
from bench.variants import VARIANTS, varied
from vaescope.errors import UsageError

TRIALS = RESULTS / "search.json"
REFERENCE = ("--config", "configs/latent32.yaml")
ROUNDED = ("--engine.precision", "bfloat16")
STEP = 0.010
"""The seconds that a step of the reference takes on two quiet cores, with products in bfloat16."""
SHARE = 0.85
"""How much of a budget goes into steps; the rest is for validation, pictures and a machine that is a little slower."""

NETWORK = "--model.init_args.network.init_args"
PRIOR = "--model.init_args.prior"
OPTIMIZER = "--trainer.optimizer.init_args"
WARMUP = "--objective.init_args.warmup.init_args"
CHANGES = {
    "batches of 128": "--trainer.batch_size 128",
    "batches of 512": "--trainer.batch_size 512",
    "learning rate 0.003": f"{OPTIMIZER}.lr 0.003",
    "learning rate 0.008": f"{OPTIMIZER}.lr 0.008",
    "learning rate 0.012": f"{OPTIMIZER}.lr 0.012",
    "second moment 0.95": f"{OPTIMIZER}.betas [0.9,0.95]",
    "weight decay 0.05": f"{OPTIMIZER}.weight_decay 0.05",
    "width 384": f"{NETWORK}.width 384",
    "width 512": f"{NETWORK}.width 512",
    "1 block": f"{NETWORK}.encoder_blocks 1 {NETWORK}.decoder_blocks 1",
    "2 blocks": f"{NETWORK}.encoder_blocks 2 {NETWORK}.decoder_blocks 2",
    "GELU": f"{NETWORK}.activation gelu",
    "ReLU": f"{NETWORK}.activation relu",
    "layer normalisation": f"{NETWORK}.norm layer",
    "24 latents": "--model.init_args.latent 24",
    "40 latents": "--model.init_args.latent 40",
    "mixture of 200": f"{PRIOR}.init_args.components 200",
    "standard prior": f"{PRIOR} StandardNormal",
    "warm-up over 0.1": f"{WARMUP}.share 0.1",
    "warm-up over 0.4": f"{WARMUP}.share 0.4",
    "no warm-up": f"{WARMUP}.start 1.0",
    "dropout 0.05": f"{NETWORK}.dropout 0.05",
    **{name[1:].replace("-", " "): name for name in VARIANTS},
}
"""The changes that are tried, by name: words of the command line, the last of which holds where two are of one key."""


@dataclass(frozen=True)
class Trial:
    """What was trained, and what it reached.

    Args:
        config: The config that was changed.
        words: The changes, as on the command line.
        budget: The seconds that it was allowed.
        seed: Where the random numbers start.
        cost: How many times as long a step takes as one of the reference.
        steps: How many steps the budget allows.
        validation: The -ELBO of the validation images, in nats per image.
        rate: The rate in it.
        seconds: What the steps took here.
        date: When.
    """

    config: str
    words: tuple[str, ...]
    budget: float
    seed: int
    cost: float
    steps: int
    validation: float
    rate: float
    seconds: float
    date: str = field(default_factory=lambda: time.strftime("%Y-%m-%d"))


def load() -> list[Trial]:
    """All trials so far."""
    lines = json.loads(TRIALS.read_text()) if TRIALS.exists() else []
    return [Trial(**{**line, "words": tuple(line["words"])}) for line in lines]


def keep(trial: Trial) -> None:
    """Adds a trial to those that were made, a line each."""
    lines = [json.dumps(asdict(one)) for one in (*load(), trial)]
    TRIALS.parent.mkdir(exist_ok=True)
    TRIALS.write_text("[\n" + ",\n".join(lines) + "\n]\n")


def relative_cost(words: Sequence[str], root: str | None, steps: int = 10) -> float:
    """How many times as long a step takes as one of the reference, as the two take turns."""

    def some(given: Sequence[str]) -> Callable[[], object]:
        options, variants = parted(given)
        begun = state((*options, *ROUNDED), root)[1]
        advance, _ = varied(begun, variants)

        def run() -> None:
            for k in range(steps):
                begun.step = begun.total * k // steps  # all over the run: some change on the way
                advance()

        return run

    seconds = interleaved({"reference": some(REFERENCE), "candidate": some(words)}, 5, Asked(busy=True))
    return ratio(seconds["candidate"], seconds["reference"]).middle


def parted(words: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The words of a trial: those of the command line, and the variants, which no key names."""
    return tuple(w for w in words if w not in VARIANTS), tuple(w for w in words if w in VARIANTS)


def train(words: Sequence[str], steps: int, seed: int, root: str | None) -> tuple[float, float, float]:
    """Trains for so many steps. Returns -ELBO and rate of the validation images, and the seconds of the steps."""
    from vaescope.metrics import average
    from vaescope.run import validation_examples

    length = ("--trainer.epochs", "100000", "--trainer.steps", str(steps), "--seed", str(seed))
    options, variants = parted(words)
    settings, begun = state((*options, *length, *ROUNDED), root)
    advance, finish = varied(begun, variants)
    start = time.perf_counter()
    while begun.step < begun.total:
        advance()
    seconds = time.perf_counter() - start
    finish()
    images = settings.data.load(lambda line: None)
    shown = validation_examples(begun.model, settings.data.target, images)
    terms = average(begun.objective, begun.model, shown)
    return terms["distortion"] + terms["rate"], terms["rate"], seconds


@dataclass(frozen=True)
class Search:
    """A search from one config, within one budget.

    Args:
        config: The config to change.
        budget: The seconds that training may take.
        root: Where image sets are kept, if not where the config says.
        say: Is told what is found.
    """

    config: str
    budget: float
    root: str | None = None
    say: Callable[[str], None] = lambda line: print(line, file=sys.stderr, flush=True)

    def score(self, words: Iterable[str] = (), seed: int = 0) -> float:
        """The -ELBO that the config reaches with some changes: as it was found before, or else by a trial."""
        words = tuple(words)
        alike = [trial for trial in load() if (trial.config, trial.words) == (self.config, words)]
        known = [trial for trial in alike if (trial.budget, trial.seed) == (self.budget, seed)]
        if not known:
            every = ("--config", self.config, *words)
            cost = alike[0].cost if alike else round(relative_cost(every, self.root), 3)
            steps = int(SHARE * self.budget / (STEP * cost))
            bound, rate, seconds = (round(number, 3) for number in train(every, steps, seed, self.root))
            known = [Trial(self.config, words, self.budget, seed, cost, steps, bound, rate, seconds)]
            keep(known[0])
        trial = known[0]
        said = shlex.join(words) or "as it is"
        self.say(f"{trial.validation:8.2f}  {trial.steps:>6,} steps  cost {trial.cost:.2f}  seed {seed}  {said}")
        return trial.validation

    def greedy(self, changes: Iterable[str]) -> tuple[str, ...]:
        """Tries every change alone, then adds those that helped, the best first, as long as each helps again."""
        best, kept = self.score(), tuple[str, ...]()
        alone = {change: self.score(shlex.split(change)) for change in changes}
        for change in sorted((change for change in alone if alone[change] < best), key=alone.__getitem__):
            both = (*kept, *shlex.split(change))
            with suppress(UsageError):  # where a change does not go with those that are kept
                if (found := self.score(both)) < best:
                    best, kept = found, both
        return kept


def table(trials: Sequence[Trial]) -> str:
    """What was tried in Markdown, the best of each budget first: means over seeds, and how far seeds are apart."""
    alike: dict[tuple[float, str, tuple[str, ...]], list[Trial]] = {}
    for trial in trials:
        alike.setdefault((trial.budget, trial.config, trial.words), []).append(trial)
    lines = ["| seconds | config | changes | steps | cost of a step | validation −ELBO | seeds |", "|" + " --- |" * 7]
    for (budget, config, words), group in sorted(alike.items(), key=lambda row: (row[0][0], mean(row[1]))):
        spread = f" ± {statistics.stdev(trial.validation for trial in group):.2f}" if len(group) > 1 else ""
        cells = [f"{budget:g}", Path(config).stem, briefly(words), f"{group[0].steps:,}", f"{group[0].cost:.2f}"]
        lines.append("| " + " | ".join([*cells, f"{mean(group):.2f}{spread}", str(len(group))]) + " |")
    return "\n".join(lines)


def briefly(words: Sequence[str]) -> str:
    """Changes with the last two names of each key, such as optimizer.lr."""
    options, variants = parted(words)
    names = [".".join(word.lstrip("-").replace(".init_args", "").split(".")[-2:]) for word in options[::2]]
    said = [f"{name} {value}" for name, value in zip(names, options[1::2], strict=True)]
    return ", ".join(f"`{part}`" for part in (*said, *variants)) or "as it is"


def mean(trials: Sequence[Trial]) -> float:
    """The mean -ELBO of trials that differ in their seeds."""
    return statistics.fmean(trial.validation for trial in trials)


def main() -> None:
    """Runs the search."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", nargs="?", default=REFERENCE[1], help="the config to change (%(default)s)")
    parser.add_argument("--budget", type=float, default=30.0, help="seconds of training on two quiet cores (30)")
    parser.add_argument("--only", action="append", help="try these changes alone, and do not put them together")
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds for what is kept, or for --only (3)")
    parser.add_argument("--data-root", help="where the image sets are (as the config says)")
    parser.add_argument("--table", action="store_true", help="only print the table of what was tried")
    asked = parser.parse_args()
    search = Search(asked.config, asked.budget, asked.data_root)
    if not asked.table:
        kept = [shlex.split(words) for words in asked.only] if asked.only else [(), search.greedy(CHANGES.values())]
        for words in kept:
            for seed in range(asked.seeds):
                search.score(words, seed)
    print(table(load()))


if __name__ == "__main__":
    main()
