r"""How others train, written anew: their networks and their loop, to be timed and scored beside ours.

The loop is that of the VAE among the examples of PyTorch, and of most code that began there: a dataset that is asked
for one image at a time, a ``DataLoader`` that shuffles and stacks them, pixels as probabilities behind a sigmoid,
binary cross-entropy plus :math:`-\frac{1}{2} \sum (1 + \log \sigma^2 - \mu^2 - \sigma^2)` summed over the batch, Adam
with a learning rate of 0.001, and the loss read with ``.item()`` in every step.

The networks are 784-400-20 with ReLU, the example's own; a multilayer perceptron 784-400-200 with batch normalisation;
and five strided convolutions of 32 to 512 channels, each with batch normalisation and LeakyReLU, and as many transposed
ones back. As everywhere, layers before a batch normalisation have the bias that it takes away again.

As a program it is one that :class:`bench.worker.Worker` asks: ``python -m bench.speed.competitors NETWORK BATCH``.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from itertools import islice, pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn.functional import binary_cross_entropy
from torch.optim import Adam
from torch.utils.data import DataLoader, Dataset, TensorDataset

from bench.worker import about, serve
from vaescope.conditional import Conditional
from vaescope.data.images import load
from vaescope.distributions import diagonal_normal
from vaescope.families import Bernoulli
from vaescope.families.family import Family
from vaescope.models import VAE
from vaescope.nets import Shape
from vaescope.priors import StandardNormal

SHAPE = (1, 28, 28)
PIXELS = 784


class Peer(nn.Module):
    """A VAE as it is written elsewhere.

    Args:
        encoder: From images, with shape (B, 1, 28, 28), to features, with shape (B, F).
        features: Their number F.
        latent: The number of latents D.
        decoder: From latents, with shape (B, D), to the probabilities of pixels, with the shape of the images. Its last
            layer is the sigmoid.
    """

    def __init__(self, encoder: nn.Module, features: int, latent: int, decoder: nn.Sequential) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.mean, self.log_variance = nn.Linear(features, latent), nn.Linear(features, latent)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The probabilities of the pixels at one draw of the latents, and the means and log-variances of these."""
        h = self.encoder(x)
        mean, log_variance = self.mean(h), self.log_variance(h)
        deviation = torch.exp(0.5 * log_variance)
        return self.decoder(mean + torch.randn_like(deviation) * deviation), mean, log_variance


def plain(hidden: int = 400, latent: int = 20) -> Peer:
    """One hidden layer on either side: 784-400-20, or, with 512 and 16, the network that pythae takes by default."""
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(PIXELS, hidden), nn.ReLU())
    decoder = [nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, PIXELS), nn.Unflatten(1, SHAPE), nn.Sigmoid()]
    return Peer(encoder, hidden, latent, nn.Sequential(*decoder))


def normed(sizes: Sequence[int] = (PIXELS, 400, 200), latent: int = 3) -> Peer:
    """Fully connected layers with batch normalisation."""

    def stack(*sizes: int) -> list[nn.Module]:
        blocks = ((nn.Linear(a, b), nn.BatchNorm1d(b), nn.ReLU()) for a, b in pairwise(sizes))
        return [layer for block in blocks for layer in block]

    up = stack(latent, *sizes[:0:-1])
    decoder = nn.Sequential(*up, nn.Linear(sizes[1], sizes[0]), nn.Unflatten(1, SHAPE), nn.Sigmoid())
    return Peer(nn.Sequential(nn.Flatten(), *stack(*sizes)), sizes[-1], latent, decoder)


def deep(widths: Sequence[int] = (32, 64, 128, 256, 512), latent: int = 3) -> Peer:
    """Five strided convolutions down to a single pixel, transposed ones back up: 28, 14, 7, 4, 2, 1 and back."""

    def after(channels: int, layer: nn.Module) -> nn.Sequential:
        return nn.Sequential(layer, nn.BatchNorm2d(channels), nn.LeakyReLU())

    def up(a: int, b: int, odd: int) -> nn.Sequential:
        return after(b, nn.ConvTranspose2d(a, b, 3, stride=2, padding=1, output_padding=1 - odd))

    down = [after(b, nn.Conv2d(a, b, 3, stride=2, padding=1)) for a, b in pairwise((1, *widths))]
    channels = [*widths[::-1], widths[0]]
    grown = [up(a, b, odd) for (a, b), odd in zip(pairwise(channels), (0, 0, 1, 0, 0), strict=True)]
    first = [nn.Linear(latent, widths[-1]), nn.Unflatten(1, (widths[-1], 1, 1))]
    decoder = nn.Sequential(*first, *grown, nn.Conv2d(widths[0], 1, 3, padding=1), nn.Sigmoid())
    return Peer(nn.Sequential(*down, nn.Flatten()), widths[-1], latent, decoder)


NETWORKS: dict[str, Callable[[], Peer]] = {"plain": plain, "normed": normed, "deep": deep}


def loss(means: Tensor, x: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """-ELBO of a batch, summed over its images, in nats."""
    distortion = binary_cross_entropy(means.flatten(1), x.flatten(1), reduction="sum")
    rate = -0.5 * torch.sum(1 + log_variance - mean.pow(2) - log_variance.exp())
    return distortion + rate


class Pictures(Dataset[tuple[Tensor, int]]):
    """What ``torchvision.datasets.FashionMNIST`` with ``ToTensor`` does for an image that it is asked for.

    Args:
        levels: The images, uint8 with shape (N, 28, 28).
        labels: Their classes, with shape (N,).
    """

    def __init__(self, levels: Tensor, labels: Tensor) -> None:
        self.levels, self.labels = levels, labels

    def __len__(self) -> int:
        return len(self.levels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        picture, label = Image.fromarray(self.levels[index].numpy()), int(self.labels[index])
        pixels = torch.from_numpy(np.array(picture, np.uint8, copy=True))
        pixels = pixels.view(picture.size[1], picture.size[0], 1).permute(2, 0, 1).contiguous()
        return pixels.to(torch.get_default_dtype()).div(255), label


Source = Literal["pictures", "tensors"]


def dataset(levels: Tensor, source: Source) -> Dataset:
    """Images to be asked for one by one.

    Args:
        levels: Images, uint8 with shape (N, 1, 28, 28).
        source: Whether each is made from its bytes when it is asked for, or all lie ready as float32.
    """
    labels = torch.zeros(len(levels), dtype=torch.int64)
    return Pictures(levels[:, 0], labels) if source == "pictures" else TensorDataset(levels.float() / 255, labels)


class Loop:
    """The loop, on a GPU if there is one.

    Args:
        model: The network.
        images: What to train on, see :func:`dataset`.
        batch: Images a step.
        workers: Processes that prepare batches.
        binary: Whether the pixels of every batch are drawn as 0 or 1, with the greys as probabilities.
    """

    def __init__(self, model: Peer, images: Dataset, batch: int, workers: int = 0, binary: bool = False) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model, self.binary, self.total = model.to(self.device).train(), binary, 0.0
        pinned = self.device.type == "cuda"
        self.loader: DataLoader = DataLoader(images, batch, shuffle=True, num_workers=workers, pin_memory=pinned)
        self.optimizer = Adam(model.parameters(), lr=1e-3)
        self.batches = self._endless()

    def _endless(self) -> Iterator[Tensor]:
        while True:
            for x, _ in self.loader:
                x = x.to(self.device)
                yield (torch.rand_like(x) < x).float() if self.binary else x

    def run(self, steps: int) -> float:
        """Makes so many steps. Returns the loss of the last one, in nats per image."""
        last = 0.0
        for x in islice(self.batches, steps):
            self.optimizer.zero_grad()
            means, mean, log_variance = self.model(x)
            summed = loss(means, x, mean, log_variance)
            summed.backward()
            self.total += summed.item()
            self.optimizer.step()
            last = summed.item() / len(x)
        return last


# As a model of ours, to be scored by the same function


class LogVariance(Family):
    """The normal with a mean and a log-variance that nothing bounds."""

    support = "real line"
    density = True

    @property
    def inputs(self) -> Shape:
        """The shape of the parameters of one event, (2 D,)."""
        return (2 * self.shape[0],)

    def forward(self, h: Tensor) -> Distribution:
        """Takes shape (*B, 2 D)."""
        mean, log_variance = h.chunk(2, dim=-1)
        return diagonal_normal(mean, torch.exp(0.5 * log_variance), 1)

    def start(self, mean: Tensor) -> Tensor:
        """The parameters of a unit normal around ``mean``."""
        return torch.cat((mean, torch.zeros_like(mean)))


class Heads(nn.Module):
    """The encoder of a peer, with its means and log-variances side by side."""

    def __init__(self, peer: Peer) -> None:
        super().__init__()
        self.peer = peer

    def forward(self, x: Tensor) -> Tensor:
        """Takes shape (B, 1, 28, 28), returns shape (B, 2 D)."""
        h = self.peer.encoder(x)
        return torch.cat((self.peer.mean(h), self.peer.log_variance(h)), dim=-1)


def as_ours(peer: Peer) -> VAE:
    """The same model with the same weights as one of ours, so that one function scores all."""
    latent = peer.mean.out_features
    posterior = Conditional(Heads(peer), LogVariance((latent,)), ndims=3)
    return VAE(StandardNormal(latent), posterior, Conditional(peer.decoder[:-1], Bernoulli(SHAPE), ndims=1))


def main() -> None:
    """The process that trains."""
    parser = argparse.ArgumentParser()
    parser.add_argument("network", choices=NETWORKS)
    parser.add_argument("batch", type=int)
    parser.add_argument("--source", choices=("pictures", "tensors"), default="tensors")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--binary", action="store_true")
    parser.add_argument("--root", type=Path, default=Path("data"))
    asked = parser.parse_args()
    levels = load("fashion-mnist", asked.root).train.images
    assert isinstance(levels, Tensor)
    torch.manual_seed(0)
    peer = NETWORKS[asked.network]()
    loop = Loop(peer, dataset(levels, asked.source), asked.batch, asked.workers, asked.binary)
    serve(loop.run, lambda path: torch.save(peer.state_dict(), path), about(peer))


if __name__ == "__main__":
    main()
