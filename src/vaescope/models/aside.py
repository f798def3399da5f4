"""Looking at a model without touching its training."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def aside(model: nn.Module, seed: int) -> Iterator[None]:
    """Within the block the model is in evaluation mode, without gradients, and random numbers come from ``seed``.

    After it every module is in the mode it was in, and the random numbers of training go on as if nothing had been
    drawn in between: pictures and metrics cannot change what is learned.

    Args:
        model: The model to look at.
        seed: Where random numbers within the block start.
    """
    modes = {module: module.training for module in model.modules()}
    devices = {p.device for p in model.parameters() if p.device.type == "cuda"}
    with torch.random.fork_rng(devices), torch.no_grad():
        torch.default_generator.manual_seed(seed)
        for device in devices:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        model.eval()
        try:
            yield
        finally:
            for module, mode in modes.items():
                module.training = mode
