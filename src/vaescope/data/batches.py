"""Training batches: the whole set as one tensor of bytes on the device, shuffled anew every epoch.

Two streams of random numbers are kept apart, so that changing one thing does not change another: the order of epoch e
depends on the seed and e alone, and the noise of the targets comes from a generator of its own.
"""

import torch
from torch import Tensor

from vaescope.data.examples import Examples
from vaescope.data.targets import Target
from vaescope.errors import UsageError
from vaescope.streams import stream


class Batches:
    """Batches by the number of the step.

    An epoch has as many whole batches as fit. The images left over, less than a batch, are others in every epoch.

    Args:
        images: Bytes, with shape (N, C, H, W), on the device to train on.
        target: What of them the model is to explain.
        size: The number B of images in a batch.
        seed: Decides the order and the noise.
        context: What each image is conditioned on, with shape (N, K) and on the same device, or nothing.

    Raises:
        UsageError: For a size below 1 or above N.
    """

    def __init__(self, images: Tensor, target: Target, size: int, seed: int, context: Tensor | None = None) -> None:
        if not 1 <= size <= len(images):
            raise UsageError(
                f"trainer.batch_size is {size}, but there are {len(images):,} training images: "
                f"give a size from 1 to {len(images):,}, such as {min(128, len(images))}"
            )
        self.images, self.target, self.size, self.seed, self.context = images, target, size, seed, context
        self.noise = torch.Generator(images.device).manual_seed(stream(seed, "targets"))
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.int64)

    @property
    def steps_per_epoch(self) -> int:
        """The number of batches in an epoch."""
        return len(self.images) // self.size

    def order(self, epoch: int) -> Tensor:
        """The indices of all images in the order of an epoch, with shape (N,)."""
        shuffle = torch.Generator().manual_seed(stream(self.seed, "order", epoch))
        return torch.randperm(len(self.images), generator=shuffle).to(self.images.device)

    def __call__(self, step: int) -> Examples:
        """The batch of a step, counted from 0: values with shape (B, C, H, W)."""
        epoch, position = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._epoch, self._order = epoch, self.order(epoch)
        index = self._order[position * self.size : (position + 1) * self.size]
        values = self.target.training(self.images.index_select(0, index), self.noise)
        return Examples(values, None if self.context is None else self.context.index_select(0, index))
