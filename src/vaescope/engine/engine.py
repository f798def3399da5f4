"""The switches of the engine, and which of them are on while a step of training is made."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

from vaescope.errors import UsageError


@dataclass(frozen=True)
class Engine:
    """How the same training is made faster. Each key is one trick; without it the plain way is taken.

    With and without a trick the results agree within rounding: docs/speed.md says what each one buys.

    Args:
        precision: What encoder and decoder multiply in while they are trained: float32, bfloat16, or auto, which takes
            bfloat16 where the machine was measured to be faster with it and the likelihood bears rounded parameters.
            Weights, losses and everything that is reported are float32 in any case.
        kernels: Whether the Bernoulli likelihood and the KL divergence of normals have gradients written by hand.
        channels_last: Whether convolutions keep the channel of an image innermost.
        keep_memory: Whether memory that was freed stays with the process (on Linux).
        read_ahead: How many batches are read from disk before they are asked for, of a set that is not in memory.
        compile: Whether torch compiles encoder and decoder: always, never, or auto, on GPUs only.
        graphs: Whether a step of training on a GPU is recorded once and then replayed.

    Raises:
        UsageError: For a negative number of batches.
    """

    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    kernels: bool = True
    channels_last: bool = True
    keep_memory: bool = True
    read_ahead: int = 4
    compile: Literal["auto", "always", "never"] = "auto"
    graphs: bool = True

    def __post_init__(self) -> None:
        if self.read_ahead < 0:
            raise UsageError(f"engine.read_ahead is {self.read_ahead}: give a whole number of at least 0, such as 4")


PLAIN = Engine("float32", kernels=False, channels_last=False, keep_memory=False, compile="never", graphs=False)
"""No trick at all."""

_WORKING: ContextVar[Engine] = ContextVar("working", default=PLAIN)


def working() -> Engine:
    """The switches that hold here: outside of a step of training none is on."""
    return _WORKING.get()


@contextmanager
def at_work(engine: Engine) -> Iterator[None]:
    """Within the block the switches hold."""
    token = _WORKING.set(engine)
    try:
        yield
    finally:
        _WORKING.reset(token)
