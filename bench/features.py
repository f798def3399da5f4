"""Makes the weights of the feature spaces that come with vaescope, in which samples are measured.

::

    python -m bench.features --data.fashion-mnist /usr/share/datasets/fashion-mnist --data.mnist data/mnist
"""

import argparse
import time
from pathlib import Path

import torch

from vaescope.data.images import load
from vaescope.metrics.classifier import accuracy, train
from vaescope.metrics.features import WEIGHTS, read_classifier, save_classifier

STEPS = 4000


def make(name: str, root: Path) -> None:
    """Trains the classifier of an image set on its training split and writes its weights."""
    begun = time.perf_counter()
    images = load(name, root)
    assert images.train.labels is not None
    assert images.test.labels is not None
    greys, test = (split.images[:].float() / split.top for split in (images.train, images.test))
    model = train(greys, images.train.labels, len(images.classes), STEPS)
    for weight in model.parameters():
        weight.data = weight.data.half().float()  # as they are kept
    right = accuracy(model, test, images.test.labels)
    note = f"a classifier with {right:.2%} of the test images right"
    path = WEIGHTS / f"{name}.safetensors"
    save_classifier(path, model, f"{name}-classifier", note)
    seconds = time.perf_counter() - begun
    print(f"{read_classifier(path)}: {path.stat().st_size / 1000:.0f} kB, {seconds:.0f} s")


def main() -> None:
    """Makes them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("fashion-mnist", "mnist"):
        parser.add_argument(f"--data.{name}", dest=name, type=Path, default=Path("data"), help="where the set is")
    asked = vars(parser.parse_args())
    torch.set_num_threads(1)
    for name, root in asked.items():
        make(name, root)


if __name__ == "__main__":
    main()
