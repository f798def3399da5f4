"""Optimizers without torch's compiler make the same steps, to the last bit."""

import pickle
import subprocess
import sys

import pytest
import torch
from torch import nn, optim

from bench.measure import settings_of
from vaescope.engine import light

SETTINGS = [
    (optim.AdamW, {"lr": 0.01, "weight_decay": 0.1}),
    (optim.AdamW, {"lr": 0.01, "fused": True}),
    (optim.Adam, {"lr": 0.01, "amsgrad": True}),
    (optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    (optim.RMSprop, {"lr": 0.01}),
    (optim.Adagrad, {"lr": 0.1}),
    (optim.Adamax, {}),
    (optim.NAdam, {}),
    (optim.RAdam, {}),
]


def steps(kind: type[optim.Optimizer], settings: dict[str, object], count: int) -> tuple[nn.Module, optim.Optimizer]:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3))
    optimizer = kind(net.parameters(), **settings)
    for _ in range(count):
        optimizer.zero_grad()
        net(torch.randn(11, 5)).square().sum().backward()
        optimizer.step()
    return net, optimizer


@pytest.mark.parametrize(("kind", "settings"), SETTINGS)
def test_the_same_steps(kind: type[optim.Optimizer], settings: dict[str, object]) -> None:
    plain, before = steps(kind, settings, 5)
    ours, after = steps(light(kind), settings, 5)
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), ours.parameters(), strict=True))
    assert all(p.requires_grad and p.is_leaf for p in ours.parameters())
    assert before.state_dict()["param_groups"] == after.state_dict()["param_groups"]


def test_what_one_remembers_the_other_takes() -> None:
    _, before = steps(optim.AdamW, {}, 3)
    _, after = steps(light(optim.AdamW), {}, 0)
    after.load_state_dict(before.state_dict())
    again = after.state_dict()["state"]
    assert all(
        torch.equal(again[k][name], kept[name]) for k, kept in before.state_dict()["state"].items() for name in kept
    )


def test_its_name_is_the_kinds_own_and_the_kind_is_as_it_was() -> None:
    step = optim.AdamW.step
    assert light(optim.AdamW).__name__ == "AdamW"
    assert issubclass(light(optim.AdamW), optim.AdamW)
    assert light(optim.AdamW) is light(optim.AdamW)
    assert optim.AdamW.step is step


def test_a_config_can_be_pickled() -> None:
    kept = pickle.dumps(settings_of(["--trainer.optimizer", "SGD", "--trainer.optimizer.lr", "0.5"]))
    settings = pickle.loads(kept)  # noqa: S301
    optimizer = settings.trainer.optimizer([nn.Parameter(torch.zeros(3))])
    assert type(optimizer) is light(optim.SGD)
    assert optimizer.param_groups[0]["lr"] == 0.5


FIRST_STEP = """
import sys
from bench.measure import settings_of
from vaescope.experiment import begin
few = ["--data.name", "sample", "--trainer.batch_size", "16", "--engine.precision", "float32"]
for words in ([], ["--objective", "FactorVAE"]):  # alone, and with a critic
    settings = settings_of([*few, *words])
    state = begin(settings, settings.data.load(), settings.trainer.find_device())
    state.advance()
    if "torch._dynamo" in sys.modules and settings.engine.compile != "always":
        sys.exit(f"with {words} the compiler is imported")
"""


def test_the_first_step_imports_no_compiler() -> None:
    assert subprocess.run([sys.executable, "-c", FIRST_STEP], timeout=120).returncode == 0
