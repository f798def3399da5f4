"""Training batches: the images shuffled anew every epoch, on the device as they are, or read from disk ahead of time.

A set that fits is one tensor of levels on the device. Of a larger one the rows of a batch are read from its file by a
thread that is a few batches ahead. Either way the order of an epoch is a permutation of *all* its images, each one
equally likely, so the batches, and with them every loss, are the same.

Two streams of random numbers are kept apart, so that changing one thing does not change another: the order of epoch e
depends on the seed and e alone, and the noise of the targets comes from a generator of its own.
"""

import hashlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property, lru_cache

import torch
from torch import Tensor

from vaescope.data.examples import Examples
from vaescope.data.rows import Rows
from vaescope.data.targets import Target
from vaescope.engine.copies import Carrier
from vaescope.errors import UsageError
from vaescope.streams import stream

HASHED = 64 << 20
"""Bytes of images that are hashed at most."""


class Batches:
    """Batches by the number of the step.

    An epoch has as many whole batches as fit. The images left over, less than a batch, are others in every epoch.

    Args:
        images: Levels, with shape (N, C, H, W), on the device to train on, or on disk.
        target: What of them the model is to explain.
        size: The number B of images in a batch.
        seed: Decides the order and the noise.
        context: What each image is conditioned on, with shape (N, K) and on the device, or nothing.
        device: Where to train; by default where the images are.
        ahead: How many batches are read from disk before they are asked for.

    Raises:
        UsageError: For a size below 1 or above N.
    """

    def __init__(
        self,
        images: Rows,
        target: Target,
        size: int,
        seed: int,
        context: Tensor | None = None,
        device: torch.device | None = None,
        ahead: int = 4,
    ) -> None:
        if not 1 <= size <= len(images):
            raise UsageError(
                f"trainer.batch_size is {size}, but there are {len(images):,} training images: "
                f"give a size from 1 to {len(images):,}, such as {min(128, len(images))}"
            )
        self.images, self.target, self.size, self.seed, self.context = images, target, size, seed, context
        self.ahead = ahead
        self.device = device or (images.device if isinstance(images, Tensor) else torch.device("cpu"))
        self.noise = torch.Generator(self.device).manual_seed(stream(seed, "targets"))
        self._shuffled = lru_cache(maxsize=2)(self._shuffle)  # the reader may be ahead
        self._on_device = lru_cache(maxsize=1)(self.order)
        self._reader = ThreadPoolExecutor(1, "read-ahead")
        self._read: dict[int, Future[Callable[[], Tensor]]] = {}
        self._carrier = Carrier(self.device)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of what there is to train on, by which other images are known: of sets above 64 MiB of images at equal
        distances."""
        every = slice(None, None, 1 + self.images.nbytes // HASHED)
        found = hashlib.sha256(str(self.images.shape).encode())
        for rows in (self.images[every], *(() if self.context is None else (self.context[every],))):
            found.update(rows.cpu().contiguous().view(torch.uint8).numpy())
        return found.hexdigest()

    @property
    def steps_per_epoch(self) -> int:
        """The number of batches in an epoch."""
        return len(self.images) // self.size

    def order(self, epoch: int) -> Tensor:
        """The indices of all images in the order of an epoch, with shape (N,)."""
        return self._shuffled(epoch).to(self.device)

    def places(self, steps: range) -> Tensor:
        """Which images are in the batches of some steps, with shape (S, B) and on the CPU, for any thread."""
        return torch.stack([self._part(self._shuffled, step) for step in steps])

    def _part(self, order: Callable[[int], Tensor], step: int) -> Tensor:
        """The indices of a step, with shape (B,), from the order of its epoch."""
        epoch, position = divmod(step, self.steps_per_epoch)
        return order(epoch)[position * self.size : (position + 1) * self.size]

    def _shuffle(self, epoch: int) -> Tensor:
        shuffle = torch.Generator().manual_seed(stream(self.seed, "order", epoch))
        return torch.randperm(len(self.images), generator=shuffle)

    def indices(self, step: int) -> Tensor:
        """Which images are in the batch of a step, with shape (B,)."""
        return self._part(self._on_device, step)

    def __call__(self, step: int) -> Examples:
        """The batch of a step, counted from 0: values with shape (B, C, H, W)."""
        places = self.indices(step)
        return self.chosen(places) if isinstance(self.images, Tensor) else self._shown(self._streamed(step), places)

    def chosen(self, places: Tensor) -> Examples:
        """The batch of some images, of a set that is on the device.

        Args:
            places: Their indices, with shape (B,) and on the device.
        """
        assert isinstance(self.images, Tensor)
        sixteen = self.images.dtype == torch.uint16  # which not every device selects rows of
        images = self.images.view(torch.int16) if sixteen else self.images
        return self._shown(images.index_select(0, places).view(self.images.dtype), places)

    def _shown(self, levels: Tensor, places: Tensor) -> Examples:
        context = None if self.context is None else self.context.index_select(0, places)
        return Examples(self.target.training(levels, self.noise), context)

    def _streamed(self, step: int) -> Tensor:
        """The images of a batch from disk, on the device."""
        wanted = range(step, step + 1 + self.ahead)
        self._read = {s: future for s, future in self._read.items() if s in wanted}
        for s in wanted:
            if s not in self._read:
                self._read[s] = self._reader.submit(self._sent, self.places(range(s, s + 1))[0])
        return self._read.pop(step).result()()

    def _sent(self, places: Tensor) -> Callable[[], Tensor]:
        """Images from disk, on their way to the device."""
        return self._carrier.send(self.images[places])
