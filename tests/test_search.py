"""The search for recipes: what helps is kept, nothing is tried twice, and every candidate gets the same seconds."""

import math
import shlex
from pathlib import Path

import pytest

from bench import search
from bench.search import CHANGES, Search, Trial
from bench.variants import VARIANTS
from vaescope.config import build, parse
from vaescope.errors import UsageError
from vaescope.request import parser

GAINS = {"--a 1": 1.0, "--b 1": 2.0, "--c 1": -1.0, "--d 1": 0.5}


def pretend(words: list[str], steps: int, seed: int, root: str | None) -> tuple[float, float, float]:
    """A landscape: what each change gains alone; the last takes the gain of the second away."""
    changes = shlex.join(words)
    gain = sum(gain for change, gain in GAINS.items() if change in changes)
    return 240 - gain + 3 * ("--b 1" in changes and "--d 1" in changes) + 0.1 * seed, 10.0, 1.0


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Search:
    """A search that trains nothing."""
    monkeypatch.setattr(search, "TRIALS", tmp_path / "search.json")
    monkeypatch.setattr(search, "train", pretend)
    monkeypatch.setattr(search, "relative_cost", lambda words, root: 2.0 if "--a" in words else 1.0)
    return Search("configs/latent32.yaml", 30.0, say=lambda line: None)


def test_changes_that_help_are_put_together_as_long_as_each_helps_again(small: Search) -> None:
    assert small.greedy(GAINS) == ("--b", "1", "--a", "1")


def test_a_change_that_does_not_go_with_those_kept_is_left_out(small: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(words: list[str], *rest: object) -> tuple[float, float, float]:
        if {"--a", "--b"} <= set(words):
            raise UsageError("no")
        return pretend(words, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(search, "train", refuse)
    assert small.greedy(GAINS) == ("--b", "1")


def test_a_search_goes_on_where_it_stopped(small: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = small.greedy(GAINS)
    made = search.load()
    monkeypatch.delattr(search, "train")
    assert small.greedy(GAINS) == kept
    assert search.load() == made


def test_a_dearer_step_gets_fewer_of_them(small: Search) -> None:
    small.score()
    small.score(("--a", "1"))
    plain, dearer = search.load()
    assert plain.steps == int(search.SHARE * 30 / search.STEP) == 2 * dearer.steps


def test_the_table_has_the_best_first_with_the_spread_of_its_seeds(small: Search) -> None:
    for seed in range(3):
        small.score((), seed)
    small.score(("--b", "1"))
    first, second = search.table(search.load()).splitlines()[2:]
    assert "`b 1`" in first
    assert "238.00" in first
    assert "240.10 ± 0.10" in second
    assert second.endswith("| 3 |")


@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
def test_every_change_is_a_config(change: str) -> None:
    made = parser()
    parsed = parse(made, ["--config", "configs/latent32.yaml", *search.parted(shlex.split(change))[0]])
    for name in ("out", "resume", "json", "skip_bad"):
        parsed.pop(name)
    build(made, parsed)


def test_a_trial_trains_and_is_scored_on_validation_images() -> None:
    words = ("--config", "configs/main.yaml", "--data.name", "sample", "--trainer.batch_size", "20")
    bound, rate, seconds = search.train(words, steps=2, seed=0, root=None)
    assert 100 < bound < 600
    assert 0 < rate < bound
    assert seconds > 0


def test_the_words_of_a_trial_come_back_as_they_were(small: Search) -> None:
    search.keep(Trial("a.yaml", ("--x", "[0.9, 0.95]"), 7.0, 0, 1.0, 10, 240.0, 10.0, 1.0))
    assert search.load()[-1].words == ("--x", "[0.9, 0.95]")


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_variant_trains(variant: str) -> None:
    words = [
        "--config",
        "configs/latent32.yaml",
        "--data.name",
        "sample",
        "--model.init_args.network.init_args.width",
        "16",
    ]
    bound, rate, _ = search.train([*words, "--trainer.batch_size", "32", variant], 6, 0, None)
    assert math.isfinite(bound)
    assert rate > 0
