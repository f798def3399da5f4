"""Configs: every key is used or refused, and what a run keeps is enough to repeat it."""

import io
import re
import tempfile
from pathlib import Path

import pytest
import torch
import yaml
from jsonargparse import ArgumentParser

from vaescope import config
from vaescope.choices import components, keys_of
from vaescope.config import Config
from vaescope.errors import UsageError
from vaescope.nets import DeepConv
from vaescope.objectives import Capacity
from vaescope.request import dump, parser

CONFIGS = sorted((Path(__file__).parent.parent / "configs").glob("*.yaml"))


def plain(arguments: list[str]) -> dict[str, object]:
    """The whole config that arguments come to."""
    made = parser()
    parsed = config.parse(made, arguments)
    for name in ("out", "resume", "json", "skip_bad"):
        parsed.pop(name)
    content: dict[str, object] = yaml.safe_load(io.StringIO(dump(made, parsed)))
    return content


def build(arguments: list[str]) -> Config:
    """The config that arguments come to, built."""
    made = parser()
    parsed = config.parse(made, arguments)
    for name in ("out", "resume", "json", "skip_bad"):
        parsed.pop(name)
    return config.build(made, parsed)


def spelled_out(content: dict[str, object]) -> dict[str, object]:
    """A config with the arguments of classes that it names by their path alone."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(content, file)
        file.flush()
        return plain(["--config", file.name])


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_every_shipped_config_can_be_built(path: Path) -> None:
    assert isinstance(config.read(path), Config)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_every_shipped_config_says_what_it_must_reach_and_when(path: Path) -> None:
    comment = " ".join(line.lstrip("# ") for line in path.read_text().splitlines() if line.startswith("#"))
    assert re.search(
        r"must reach a test (-ELBO|distortion) of at most -?[\d.]+ nats per image in at most \d+ s", comment
    )


def test_the_main_config_spells_out_the_defaults() -> None:
    assert spelled_out(plain(["--config", str(CONFIGS[0].with_name("main.yaml"))])) == spelled_out(plain([]))


def test_a_kept_config_comes_back_the_same(tmp_path: Path) -> None:
    changed = ["--seed", "4", "--model.prior", "NormalMixture", "--model.prior.components", "7", "--trainer.clip", "2"]
    whole = plain(changed)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(whole))
    assert plain(["--config", str(tmp_path / "config.yaml")]) == spelled_out(whole)
    built = config.read(tmp_path / "config.yaml")
    assert built.seed == 4
    assert built.trainer.clip == 2
    assert built.model((1, 28, 28)).prior.logits.shape == (7,)


def test_the_command_line_goes_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("trainer: {epochs: 3, batch_size: 7}\n")
    content = plain(["--config", str(tmp_path / "c.yaml"), "--trainer.epochs", "5"])
    assert content["trainer"]["epochs"] == 5  # type: ignore[index]
    assert content["trainer"]["batch_size"] == 7  # type: ignore[index]


def test_a_key_may_be_emptied_below_a_class_that_is_named(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("model: {class_path: Flat, init_args: {posterior: DiagonalNormal}}\n")
    named = ["--model.posterior=DiagonalNormal"]
    for words in (["-c", str(tmp_path / "c.yaml")], named):
        for flag in ("--model.posterior.bound", "--model.init_args.posterior.init_args.bound"):
            for form in ([flag, "null"], [f"{flag}=null"]):
                model = build([*words, *form]).model
                assert model((1, 4, 4)).posterior.family.bound is None
    assert build(["--objective", "FreeBits", "--objective.groups", "null"]).objective.groups is None  # type: ignore[attr-defined]


def test_a_class_that_is_named_starts_from_its_own_defaults(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(
        "model: {class_path: Flat, init_args: {network: DeepConv}}\nobjective: {class_path: Capacity}\n"
    )
    for words in (["--config", str(tmp_path / "c.yaml")], ["--model.network=DeepConv", "--objective", "Capacity"]):
        built = build([*words, "--objective.gamma", "7"])
        assert built.model.network == DeepConv()  # type: ignore[attr-defined]
        assert built.objective == Capacity(gamma=7.0)


@pytest.mark.parametrize("name", components())
def test_every_key_of_a_component_is_documented(name: str) -> None:
    text = components()[name].__doc__ or ""
    for key in keys_of(components()[name]):
        assert f"        {key}: " in text, f"{name} does not say what {key} is"


@pytest.mark.parametrize("name", ["SGD", "torch.optim.SGD"])
def test_an_optimizer_is_chosen_by_its_name(name: str) -> None:
    chosen = build(["--trainer.optimizer", name, "--trainer.optimizer.lr", "0.25"]).trainer
    made = chosen.optimizer([torch.nn.Parameter(torch.zeros(1))])
    assert isinstance(made, torch.optim.SGD)
    assert made.defaults["lr"] == 0.25


MISTAKES = [
    (["--trainer.epoch", "3"], "did you mean trainer.epochs?"),
    (["--trainer.lr", "3"], "did you mean trainer.optimizer.init_args.lr?"),
    (["--latent", "3"], "did you mean model.init_args.latent?"),
    (["--model.posterior.bound", "3"], "name the class first, as the value of posterior"),
    (["--trainer", "x.yaml"], "--trainer x.yaml is no key"),
    (["--model.latnt", "3"], "did you mean latent?"),
    (["--model.init_args.network.init_args.widht", "3"], "did you mean width?"),
    (["--model.prior", "StandardNorml"], "did you mean StandardNormal?"),
    (["--trainer.optimizer.class_path", "Adm"], "did you mean Adam?"),
    (["--trainer.optimizer.init_args.lrr", "3"], "did you mean lr?"),
    (["--model.network", "Linear", "--model.network.width", "3"], "there is no key width of Linear here: it has none"),
    (["--model.network", "DeepConv", "--model.network.widths", "[]"], "give one or more widths"),
    (["--trainer.epochs", "many"], "trainer.epochs: Expected int. Got value: many"),
    (["--data.targets", "gray"], "'binary', 'grey', 'centred'"),
    (["--model.latent", "0"], "at least 1"),
    (["--trainer.steps", "1" + 400 * "0"], "from 1 to 1,000,000,000,000"),
    (["--data.labelled", "1" + 400 * "0"], "give one below 1.8e308"),
    (["--trainer.steps", "0"], "trainer.steps is 0"),
    (["--trainer.clip", "0"], "positive"),
    (["--figures.frames", "1"], "at least 2"),
    (["--figures.points", "0"], "from 1 to 100,000"),
    (["--objective.beta", "-1"], "at least 0"),
    (["--config", "nowhere.yaml"], "nowhere.yaml cannot be read"),
]


@pytest.mark.parametrize(("arguments", "words"), MISTAKES, ids=lambda v: v[0] if isinstance(v, list) else None)
def test_a_mistake_on_the_command_line_is_told_in_one_line(arguments: list[str], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        build(arguments)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


FILES = [
    ("trainer:\n  epochz: 3\n", "did you mean trainer.epochs?"),
    ("modle:\n  class_path: Flat\n", "did you mean model?"),
    ("model:\n  class_path: Flatt\n", "did you mean Flat?"),
    ("model:\n  class_path: Flat\n  init_args:\n    latents: 3\n", "did you mean latent?"),
    ("model:\n  class_path: Flat\n  init_args:\n    prior:\n      class_path: NormalMixture\n"
     "      init_args: {component: 3}\n", "did you mean components?"),
    ("trainer:\n  epochs: two\n", "Expected int. Got value: two"),
    ("trainer: [1\n", "not valid YAML"),
    ("hello\n", "keys and values"),
    ("objective:\n  class_path: IWAE\n  init_args: [3]\n", "objective.init_args is [3]: give keys and values"),
    ("objective:\n  class_path: IWAE\n  init_args: {beta: 2}\n", "no key beta of IWAE here: there are samples"),
    ("trainer:\n  optimizer:\n    class_path: subprocess.Popen\n", "there is no optimizer subprocess.Popen here"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "words"), FILES, ids=[words for _, words in FILES])
def test_a_mistake_in_a_file_is_told_in_one_line(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        config.read(path)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_parser_knows_no_key_that_a_config_does_not_have() -> None:
    made = ArgumentParser()
    config.add_arguments(made)
    tops = {action.dest.split(".")[0] for action in made._actions}
    assert tops - {"help", "config", "print_config", "print_shtab"} == set(Config.__dataclass_fields__)
