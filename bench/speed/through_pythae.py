"""pythae, through its own trainer: a program that :class:`bench.worker.Worker` asks.

::

    python -m bench.speed.through_pythae (mlp | conv) IMAGES.npy [--binary] [--workers 1]

It needs pythae and torch and nothing of vaescope, so that its interpreter may be another one: that which the variable
``PYTHAE_PYTHON`` names. The networks are pythae's default one and those of its benchmarks on MNIST, with 16 latents as
in its examples, binary cross-entropy, batches of 100 and a learning rate of 0.001. The rest is as its trainer has it,
but that a process may prepare the batches, which it leaves to its user.
"""

import argparse
import os
from collections.abc import Iterator
from importlib.metadata import version
from itertools import islice
from typing import Any

import numpy as np
import torch

from bench.worker import about, serve

LATENT, BATCH = 16, 100


class Some:
    """The next batches of a loader that begins anew when it is through.

    Args:
        loader: The trainer's own.
        redrawn: Whether the pixels of every epoch are drawn as 0 or 1, with the greys as probabilities.
    """

    def __init__(self, loader: Any, redrawn: bool) -> None:
        self.dataset, self.steps = loader.dataset, 0
        self.batches = self._endless(loader, self.dataset.data if redrawn else None)

    def _endless(self, loader: Any, greys: torch.Tensor | None) -> Iterator[Any]:
        while True:
            if greys is not None:
                self.dataset.data = (torch.rand_like(greys) < greys).float()
            yield from loader

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Any]:
        return islice(self.batches, self.steps)


def trainer(kind: str, levels: np.ndarray, folder: str, workers: int = 0) -> Any:
    """pythae's trainer of one of its networks, as before the first epoch.

    Args:
        kind: ``mlp`` or ``conv``.
        levels: Images, uint8 with shape (N, 1, 28, 28).
        folder: What it may write to.
        workers: Processes that prepare batches.
    """
    from pythae.data.datasets import BaseDataset
    from pythae.models import VAE, VAEConfig
    from pythae.models.nn.benchmarks.mnist import Decoder_Conv_AE_MNIST, Encoder_Conv_VAE_MNIST
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    config = VAEConfig(input_dim=levels.shape[1:], latent_dim=LATENT, reconstruction_loss="bce")
    parts = {"encoder": Encoder_Conv_VAE_MNIST(config), "decoder": Decoder_Conv_AE_MNIST(config)}
    model = VAE(config, **(parts if kind == "conv" else {}))
    settings = BaseTrainerConfig(
        output_dir=folder, per_device_train_batch_size=BATCH, learning_rate=1e-3, num_epochs=1,
        train_dataloader_num_workers=workers,
    )  # fmt: skip
    images = BaseDataset(torch.from_numpy(levels).float() / 255, torch.zeros(len(levels)))
    made = BaseTrainer(model, images, training_config=settings)
    made.prepare_training()
    made.callback_handler.on_train_begin(training_config=settings, model_config=config)
    return made


def main() -> None:
    """The process that trains."""
    from tempfile import TemporaryDirectory

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what pythae prints is no answer
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=("mlp", "conv"))
    parser.add_argument("images")
    parser.add_argument("--binary", action="store_true")
    parser.add_argument("--workers", type=int, default=0)
    asked = parser.parse_args()
    torch.manual_seed(0)
    with TemporaryDirectory() as folder:
        made = trainer(asked.kind, np.load(asked.images), folder, asked.workers)
        made.train_loader = some = Some(made.train_loader, asked.binary)

        def run(steps: int) -> None:
            some.steps = steps
            made.train_step(epoch=1)

        said = about(made.model) | {"pythae": version("pythae")}
        serve(run, lambda path: torch.save(made.model.state_dict(), path), said, answers)


if __name__ == "__main__":
    main()
