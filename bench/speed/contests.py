"""Which networks are trained in our way and in that of others, and ours as a program that is asked for steps.

Both sides have the same layers, the same batch and the same math: grey images, one draw of the latents, the exact KL
divergence, Adam. Where no option of ``vaescope train`` names a network, it is put together here as a user would do it,
as a :class:`~vaescope.nets.Network` of one's own; the engine knows nothing of it.

As a program it is one that :class:`bench.worker.Worker` asks: ``python -m bench.speed.contests NAME PRECISION ROOT``.
"""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from bench.measure import state
from bench.worker import about, train
from vaescope.models import Flat
from vaescope.nets import MLP, DeepConv, Network, Shape
from vaescope.nets.layers import Folded, after, dense
from vaescope.training import State


@dataclass(frozen=True)
class Funnel(Network):
    """Fully connected layers with batch normalisation and ReLU, each with a width of its own.

    Args:
        widths: The units of the encoder's layers; the decoder's are the same backwards.
    """

    widths: tuple[int, ...] = (400, 200)

    def _layers(self, *sizes: int) -> list[nn.Module]:
        return [dense(a, b, "relu", "batch") for a, b in pairwise(sizes)]

    def encoder(self, shape: Shape, outputs: Shape) -> nn.Module:
        """A network from shape (*B, C, H, W) to shape (*B, F)."""
        down = self._layers(math.prod(shape), *self.widths)
        return nn.Sequential(nn.Flatten(-3), *down, nn.Linear(self.widths[-1], math.prod(outputs)))

    def decoder(self, inputs: int, shape: Shape) -> nn.Module:
        """A network from shape (*B, D) to shape (*B, C, H, W)."""
        up = self._layers(inputs, *self.widths[::-1])
        return nn.Sequential(*up, nn.Linear(self.widths[0], math.prod(shape)), nn.Unflatten(-1, shape))


@dataclass(frozen=True)
class Widening(Network):
    """The convolutional network of pythae's benchmarks on 28x28 images: 128 to 1024 channels, three levels back up."""

    def encoder(self, shape: Shape, outputs: Shape) -> nn.Module:
        """A network from shape (*B, 1, 28, 28) to shape (*B, F)."""
        sizes = pairwise((shape[0], 128, 256, 512, 1024))
        down = [self._normed(nn.Conv2d(a, b, 4, 2, padding=1, bias=False), b) for a, b in sizes]
        return nn.Sequential(Folded(*down), nn.Flatten(-3), nn.Linear(1024, math.prod(outputs)))

    def decoder(self, inputs: int, shape: Shape) -> nn.Module:
        """A network from shape (*B, D) to shape (*B, 1, 28, 28)."""
        up = [
            self._normed(nn.ConvTranspose2d(a, b, 3, 2, padding=1, output_padding=odd, bias=False), b)
            for a, b, odd in ((1024, 512, 0), (512, 256, 1))
        ]
        last = nn.ConvTranspose2d(256, shape[0], 3, 2, padding=1, output_padding=1)
        return nn.Sequential(nn.Linear(inputs, 1024 * 16), nn.Unflatten(-1, (1024, 4, 4)), Folded(*up, last))

    def _normed(self, layer: nn.Module, channels: int) -> nn.Module:
        return nn.Sequential(layer, *after(channels, 3, "relu", "batch"))


@dataclass(frozen=True)
class Contest:
    """A network that is trained in two ways.

    Args:
        ours: The architecture.
        batch: Images a step.
        theirs: How the competitor's process is asked for, without its images; more than one where a setting of
            theirs may or may not make it faster: the fastest one counts.
        pythae: Whether it is pythae.
    """

    ours: Flat
    batch: int
    theirs: Sequence[Sequence[str]]
    pythae: bool = False


def _pictures(network: str, batch: int) -> list[list[str]]:
    return [[network, str(batch), "--source", "pictures", "--workers", str(workers)] for workers in (0, 1)]


def _pythae(network: str) -> list[list[str]]:
    return [[network, "--workers", str(workers)] for workers in (0, 1)]


def _flat(latent: int, network: Network) -> Flat:
    return Flat(latent=latent, network=network)


_PLAIN = _flat(20, MLP(width=400, encoder_blocks=0, decoder_blocks=0, activation="relu"))

CONTESTS = {
    "784-400-20": Contest(_PLAIN, 128, _pictures("plain", 128)),
    "784-400-20, large batch": Contest(_PLAIN, 512, _pictures("plain", 512)),
    "784-400-200-3, batch norm": Contest(_flat(3, Funnel()), 512, _pictures("normed", 512)),
    "five convolutions": Contest(_flat(3, DeepConv()), 512, _pictures("deep", 512)),
    "pythae, default": Contest(
        _flat(16, MLP(width=512, encoder_blocks=0, decoder_blocks=0, activation="relu")), 100, _pythae("mlp"), True
    ),
    "pythae, convolutions": Contest(_flat(16, Widening()), 100, _pythae("conv"), True),
}  # fmt: skip
"""Every network by its name."""


def begin(
    contest: Contest, precision: str, root: str | None = None, data: str = "fashion-mnist", device: str = "auto"
) -> State:
    """Our training of a network, before its first step.

    Args:
        contest: Which.
        precision: What the engine multiplies in, as in a config.
        root: Where image sets are kept.
        data: Which of them.
        device: Where to train, as in a config.
    """
    words = [
        "--data.name",
        data,
        "--data.targets",
        "grey",
        "--trainer.batch_size",
        str(contest.batch),
        "--trainer.epochs",
        "1000000",
    ]
    words += ["--trainer.optimizer", "Adam", "--trainer.optimizer.lr", "0.001", "--engine.precision", precision]
    words += ["--trainer.device", device]
    begun: State = state(words, root, contest.ours)[1]
    return begun


def products(begun: State) -> int:
    """The floating point operations of the products in one step, forward and backward. It makes that step."""
    with FlopCounterMode(display=False) as counter:
        begun.advance()
    return counter.get_total_flops()


def main() -> None:
    """The process that trains."""
    name, precision, root = sys.argv[1:]
    flops = products(begin(CONTESTS[name], precision, root, device="cpu"))
    begun = begin(CONTESTS[name], precision, root)
    train(begun, **about(begun.model), precision=begun.engine.precision, flops=flops)


if __name__ == "__main__":
    main()
