"""Copies between the processor and a GPU that nobody waits for until what was copied is asked for.

A copy is only made in the background from or to memory that the system may not move. Where there is no GPU nothing is
copied, and everything is there at once.
"""

from collections.abc import Callable

import torch
from torch import Tensor


def bring(value: Tensor) -> Callable[[], Tensor]:
    """Begins to copy a tensor to the CPU. What is returned waits for the copy and gives it.

    Args:
        value: A tensor of any shape. On a GPU it may be changed afterwards, as the copy is of now; one on the CPU is
            not copied.
    """
    if value.device.type != "cuda":
        return lambda: value
    there = torch.empty(value.shape, dtype=value.dtype, pin_memory=True)
    there.copy_(value, non_blocking=True)
    arrived = torch.cuda.Event()
    arrived.record(torch.cuda.current_stream(value.device))

    def wait() -> Tensor:
        arrived.synchronize()
        return there

    return wait


class Carrier:
    """Copies to a device, on a stream of its own beside the one that computes there.

    Args:
        device: Where to.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def send(self, value: Tensor) -> Callable[[], Tensor]:
        """Begins to copy a tensor, in any thread.

        Args:
            value: A tensor of any shape, on the CPU.

        Returns:
            What gives the copy. Who computes with it waits for it on the device, and no thread does.
        """
        if self.stream is None:
            there = value.to(self.device)
            return lambda: there
        with torch.cuda.stream(self.stream):
            there = value.pin_memory().to(self.device, non_blocking=True)
            arrived = self.stream.record_event()

        def take() -> Tensor:
            here = torch.cuda.current_stream(self.device)
            here.wait_event(arrived)
            there.record_stream(here)  # so that its memory is not used again before that stream is done with it
            return there

        return take
