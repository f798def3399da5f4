"""The switches of the engine, and which of them are on while a step of training is made."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import torch
from torch import nn

from vaescope.engine.compiled import Net
from vaescope.errors import UsageError


@dataclass(frozen=True)
class Engine:
    """How the same training is made faster. Each key is one trick; without it the plain way is taken.

    With and without a trick the results agree within rounding: docs/speed.md says what each one buys.

    Args:
        precision: What encoder and decoder multiply in while they are trained: float32, bfloat16, tf32 (what is
            multiplied has 11 bits, on GPUs only), or auto. On a CPU auto takes bfloat16 where the machine was measured
            to be faster with it, on a GPU bfloat16 for convolutions and tf32 for others; in any case only where the
            likelihood bears rounded parameters. Weights, losses and every score are float32; the frames of the
            animations, which are seen and not scored, are taken in the precision of training.
        kernels: Whether the Bernoulli likelihood and the KL divergence of normals have gradients written by hand.
        channels_last: Whether convolutions keep the channel of an image innermost.
        keep_memory: Whether memory that was freed stays with the process (on Linux).
        read_ahead: How many batches are read from disk before they are asked for, of a set that is not in memory.
        compile: Whether torch compiles encoder and decoder: always, never, or auto, on GPUs for runs that are long
            enough to make up for the time it takes.
        graphs: Whether a step of training on a GPU is recorded once and then replayed.
        deterministic: Whether only operations are used that give the same numbers every time on the same machine, see
            :func:`~vaescope.engine.determinism.steady`. It makes nothing faster.

    Raises:
        UsageError: For a negative number of batches.
    """

    precision: Literal["auto", "float32", "bfloat16", "tf32"] = "auto"
    kernels: bool = True
    channels_last: bool = True
    keep_memory: bool = True
    read_ahead: int = 4
    compile: Literal["auto", "always", "never"] = "auto"
    graphs: bool = True
    deterministic: bool = False

    def __post_init__(self) -> None:
        if self.read_ahead < 0:
            raise UsageError(f"engine.read_ahead is {self.read_ahead}: give a whole number of at least 0, such as 4")


PLAIN = Engine("float32", kernels=False, channels_last=False, keep_memory=False, compile="never", graphs=False)
"""No trick at all."""

NONE: Mapping[nn.Module, Net] = MappingProxyType({})

_WORKING: ContextVar[Engine] = ContextVar("working", default=PLAIN)
_NETS: ContextVar[Mapping[nn.Module, Net]] = ContextVar("nets", default=NONE)


def working() -> Engine:
    """The switches that hold here: outside of a step of training none is on."""
    return _WORKING.get()


def faster(net: nn.Module) -> Net:
    """What to call in place of a network here: outside of a step of training the network itself."""
    return _NETS.get().get(net, net)


@contextmanager
def at_work(engine: Engine, nets: Mapping[nn.Module, Net] = NONE) -> Iterator[None]:
    """Within the block the switches hold, and networks that are compiled are used.

    Args:
        engine: The switches, with nothing left to decide.
        nets: What to call in place of networks.
    """
    tokens = _WORKING.set(engine), _NETS.set(nets)
    try:
        with tensor_cores(True) if engine.precision == "tf32" else nullcontext():
            yield
    finally:
        _WORKING.reset(tokens[0])
        _NETS.reset(tokens[1])


@contextmanager
def tensor_cores(used: bool) -> Iterator[None]:
    """Within the block torch multiplies in TF32 on GPUs, or does not. The switch is one of the whole process, and is
    put back: what is reported is computed as torch is set outside.

    Torch has newer switches, too, beside which these cannot be read: who has set those has chosen, and it stays so.

    Args:
        used: Whether it does.
    """
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    try:
        before = matmul.allow_tf32, cudnn.allow_tf32
    except RuntimeError:
        before = None
    if before is not None:
        matmul.allow_tf32 = cudnn.allow_tf32 = used
    try:
        yield
    finally:
        if before is not None:
            matmul.allow_tf32, cudnn.allow_tf32 = before
