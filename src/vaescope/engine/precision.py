r"""In what precision encoder and decoder multiply while they are trained.

TF32 is float32 whose products look at 11 of its 24 bits: tensor cores of GPUs multiply it, and nothing is converted.
bfloat16 has the range of float32 and 8 of its bits. Some processors multiply it two to three times as fast, others
at half the speed, and what they say of themselves does not tell which. So it is measured, once on every machine: a
linear layer and a convolution, forward and backward, in both. GPUs are not measured. There bfloat16 halves what a
convolution reads and writes; of dense layers of a few hundred units every product is so short that converting its
factors takes longer than it saves, and TF32 is taken.

Only the networks run in it, under torch's autocast. Weights and their optimizer, the distributions, the loss and every
validation are float32. What a network gives is rounded to 8 bits, which the logits of pixels bear without any loss, but
not means of pixels with a scale of a few hundredths; likelihoods say of themselves what they bear. The means of a
posterior are rounded too while training goes on, but not where it is validated: docs/speed.md says what models lose.

References:
    | Mixed Precision Training (Micikevicius et al., 2018)
    | https://arxiv.org/abs/1710.03740
"""

import json
import platform
import re
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from vaescope.engine.engine import faster
from vaescope.files import atomic_file, cache_folder
from vaescope.foreign import from_json

Precision = Literal["float32", "bfloat16", "tf32"]

WORTH = 1.2
"""How much faster bfloat16 has to be to be taken."""

BLOCKS = 8
"""Passes in each, the first of which allocate memory."""


def products(net: nn.Module, x: Tensor, precision: str) -> Tensor:
    """What a network makes of ``x``, with its products of matrices in some precision, in the type of ``x``.

    Args:
        net: The network.
        x: Its input, with any shape.
        precision: What to multiply in.
    """
    if precision != "bfloat16":
        return faster(net)(x)
    # a weight is used once in the block, and no cache of it may be filled while a step is recorded
    with torch.autocast(x.device.type, torch.bfloat16, cache_enabled=False):
        return faster(net)(x).to(x.dtype)


def choose(net: nn.Module, device: torch.device) -> Precision:
    """The faster precision for a network on a device.

    Args:
        net: A network: the speed of convolutions counts if it has any.
        device: Where it is trained.
    """
    kind = "convolution" if any(isinstance(module, nn.Conv2d) for module in net.modules()) else "linear"
    if device.type == "cuda":
        modern = torch.cuda.is_bf16_supported(including_emulation=False)  # which are those with TF32, too
        return "float32" if not modern else "bfloat16" if kind == "convolution" else "tf32"
    return "bfloat16" if capability()[kind] >= WORTH else "float32"


def capability() -> dict[str, float]:
    """How many times faster this processor is with bfloat16, by the kind of layer: measured once, then remembered.

    Where nothing can be written it is remembered as long as the process lives.
    """
    path, here = cache_folder() / "precision.json", machine()
    known = _read(path)
    if here not in known:
        known[here] = _measured_here(here)
        with suppress(OSError), atomic_file(path) as temporary:
            temporary.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    return known[here]


def remembered() -> dict[str, float] | None:
    """What was measured on this machine before, if it was."""
    return _read(cache_folder() / "precision.json").get(machine())


@cache
def _measured_here(here: str) -> dict[str, float]:
    """What is measured on a machine, once in a process."""
    return _measured()


def _read(path: Path) -> dict[str, dict[str, float]]:
    """What was measured before; nothing if that cannot be read."""
    try:
        known = from_json(path.read_text(encoding="utf-8"))
        return {name: {kind: float(found[kind]) for kind in ("linear", "convolution")} for name, found in known.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def machine() -> str:
    """What the measurement depends on."""
    return f"{processor()}, torch {torch.__version__}, {torch.get_num_threads()} threads"


def processor() -> str:
    """What the processor is called."""
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.*)", info.read_text()) if info.exists() else None
    return found[1] if found else platform.processor() or platform.machine()


def _measured() -> dict[str, float]:
    """The ratios of the least times of passes that are made in turn, so that what else runs hardly counts."""
    random = torch.Generator().manual_seed(0)

    def trial(layer: nn.Module, *shape: int) -> float:
        x = torch.randn(*shape, generator=random, requires_grad=True)
        pairs = [(_seconds(layer, x, "float32"), _seconds(layer, x, "bfloat16")) for _ in range(BLOCKS)]
        return min(plain for plain, _ in pairs) / min(half for _, half in pairs)

    with torch.random.fork_rng(devices=[]):
        dense, convolution = nn.Linear(512, 512), nn.Conv2d(32, 32, 3, padding=1)
    convolution.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return {"linear": trial(dense, 256, 512), "convolution": trial(convolution, 32, 32, 14, 14)}


def _seconds(layer: nn.Module, x: Tensor, precision: Precision) -> float:
    """The seconds of a pass forward and backward."""
    begun = time.perf_counter()
    products(layer, x, precision).sum().backward()
    return time.perf_counter() - begun
