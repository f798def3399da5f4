"""Training that gives the same numbers every time on the same machine, whatever that costs.

On a CPU with a fixed number of threads it does so anyway. On a GPU some operations add in an order that is decided
anew in every run, libraries choose among kernels by measuring them, and convolutions are rounded to TF32 unasked. The
switches of torch against all that are those of the whole process, and are put back after training.

References:
    | https://docs.pytorch.org/docs/stable/notes/randomness.html
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from vaescope.engine.engine import Engine, tensor_cores
from vaescope.errors import UsageError

WORKSPACE, FIXED = "CUBLAS_WORKSPACE_CONFIG", ":4096:8"
"""The variable that cuBLAS reads when it is first used, and a value with which its sums have one order."""


def allow_steady(engine: Engine, device: torch.device) -> None:
    """Sets what must be set before anything is computed on a GPU, if training is to be deterministic.

    Args:
        engine: The switches.
        device: Where to train.
    """
    if engine.deterministic and device.type == "cuda":
        os.environ.setdefault(WORKSPACE, FIXED)


@contextmanager
def steady(engine: Engine) -> Iterator[None]:
    """Within the block only deterministic operations are used, if the engine says so.

    Args:
        engine: The switches.

    Raises:
        UsageError: For an operation that has no such form.
    """
    if not engine.deterministic:
        yield
        return
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.benchmark
    enabled, warns = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True)
    cudnn.deterministic, cudnn.benchmark = True, False
    try:
        with tensor_cores(engine.precision == "tf32"):
            yield
    except RuntimeError as error:
        if "use_deterministic_algorithms" not in str(error):
            raise
        raise UsageError(refusal(str(error))) from error
    finally:
        torch.use_deterministic_algorithms(enabled, warn_only=warns)
        cudnn.deterministic, cudnn.benchmark = before


def refusal(said: str) -> str:
    """In one line that an operation is not deterministic, from what torch says of it in many."""
    operation, found, _ = said.partition(" does not have a deterministic implementation")
    if not found:
        return (
            f"engine.deterministic is true, for which cuBLAS needs {WORKSPACE}={FIXED} before the first step: set that"
        )
    return (
        f"engine.deterministic is true, but {' '.join(operation.split())} gives the same numbers every time in no form "
        "that torch has for this device: set it to false, or trainer.device to cpu"
    )
