"""Networks that torch has compiled: fewer and larger kernels for the same numbers, but for rounding.

Only a step of training uses them. Validation, pictures and exports see a network as it is, so nothing is compiled anew
for their batch sizes, and its modules, their names and their checkpoints do not know of it. Random numbers, of dropout,
stay those of torch. To compile takes seconds to minutes, which is done before the first step.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

LONG = 20_000
"""Steps of a run from which on it makes up for the time that compiling takes."""

Net = Callable[[Tensor], Tensor]


class Compiled:
    """A network as it was compiled, or as it is once that has failed.

    Args:
        net: The network.
        report: Is told in one line if it fails.
    """

    def __init__(self, net: nn.Module, report: Callable[[str], None]) -> None:
        self.net, self.report = net, report
        self.call: Net = torch.compile(net, dynamic=False, options={"fallback_random": True})

    def __call__(self, x: Tensor) -> Tensor:
        try:
            return self.call(x)
        except Exception as error:  # torch compiles at the first call, and anew for every other shape
            if self.call is self.net:
                raise
            y: Tensor = self.net(x)  # what fails here too is no fault of compiling, and is raised
            self.call = self.net
            self.report(failed(error))
            return y


def compiled(nets: Iterable[nn.Module], report: Callable[[str], None]) -> dict[nn.Module, Net]:
    """Networks with what to call in their place."""
    return {net: Compiled(net, report) for net in nets}


def failed(error: Exception) -> str:
    """Why networks are not compiled, in one line."""
    return f"networks are not compiled: {' '.join(str(error).split())[:200] or type(error).__name__}"
