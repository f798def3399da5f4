"""Targets and batches."""

import hashlib

import numpy as np
import pytest
import torch

from vaescope.data.batches import Batches
from vaescope.data.images import ImageSet
from vaescope.data.targets import TARGETS, Binary, Target, binarise, irreducible_entropy, tossed
from vaescope.errors import UsageError


def test_a_pixel_is_one_with_its_grey_as_the_probability() -> None:
    greys = torch.arange(256, dtype=torch.uint8).view(256, 1, 1, 1).expand(256, 1, 100, 400)
    share = binarise(greys, torch.Generator().manual_seed(0)).mean((1, 2, 3))  # of 40,000 draws each
    p = torch.arange(256) / 255
    assert share[0] == 0
    assert share[255] == 1
    z = (share - p)[1:255] / (p * (1 - p) / 40_000).sqrt()[1:255]
    assert z.abs().max() < 4.5
    assert z.square().mean().item() == pytest.approx(1, abs=0.3)


def test_pixels_are_drawn_independently() -> None:
    half = torch.full((4000, 1, 2, 5), 128, dtype=torch.uint8)
    draws = binarise(half, torch.Generator().manual_seed(1)).flatten(1)
    correlation = torch.corrcoef(draws.T) - torch.eye(10)
    assert correlation.abs().max() < 5 / 4000**0.5


def test_the_noise_is_fresh_in_every_batch_and_repeatable(images: ImageSet) -> None:
    def draws() -> list[torch.Tensor]:
        batches = Batches(images.train.images, Binary(), 200, seed=5)
        return [batches(0).values, batches(0).values]

    (first, second), again = draws(), draws()
    assert not torch.equal(first, second)
    assert torch.equal(first, again[0])
    assert torch.equal(second, again[1])


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_gives_values_in_its_interval_and_pixels_back(name: str, images: ImageSet) -> None:
    target: Target = TARGETS[name]()  # type: ignore[index]
    grey = images.train.images
    values = target.training(grey, torch.Generator().manual_seed(0))
    low, high = target.interval
    assert values.shape == grey.shape
    assert values.dtype == torch.float32
    assert values.min() == low
    assert values.max() == high
    if target.discrete:
        assert set(values.unique().tolist()) == {low, high}
    else:
        assert torch.allclose(target.pixels(values) * 255, grey.float(), atol=1e-3)


@pytest.mark.parametrize(("top", "kind"), [(255, np.uint8), (65_535, np.uint16)])
def test_tosses_are_numpys_binomials_number_for_number(top: int, kind: type[np.unsignedinteger]) -> None:
    random = np.random.default_rng(0)
    levels = np.concatenate([np.arange(top + 1), random.integers(0, top + 1, 2**19 - top - 1), np.zeros(2**18)])
    levels = random.permutation(levels).astype(kind).reshape(-1, 64)
    ours, numpys = np.random.RandomState(3), np.random.RandomState(3)
    assert (tossed(ours, levels, top) == numpys.binomial(1, levels / top)).all()
    assert ours.random_sample() == numpys.random_sample()  # both have taken as many


def test_evaluation_draws_are_numpys_of_seed_777(images: ImageSet) -> None:
    validation, test = images.validation.images, images.test.images
    np_state = np.random.get_state()[1].copy()  # type: ignore[union-attr, index]
    found = Binary().evaluation([validation, test])
    assert (np.random.get_state()[1] == np_state).all()  # type: ignore[index]
    source = np.random.RandomState(777)
    for split, values in zip((validation, test), found, strict=True):
        assert (source.binomial(1, split.numpy() / 255) == values.values.numpy()).all()


@pytest.mark.parametrize(
    ("name", "digest", "entropy"),
    [
        ("fashion-mnist", "e4212d83be002c1cd02cb09c6bcda490", 189.858),
        ("mnist", "b4446116d9378ee7b169a7661425ab9b", 45.534),
    ],
)
def test_the_fixed_test_draw_is_the_one_of_the_literature(name: str, digest: str, entropy: float) -> None:
    import real

    train, test = real.images(name)
    draw = Binary().evaluation([train[50_000:, None], test[:, None]])[1].values
    packed = np.packbits(draw.numpy().astype(np.uint8).reshape(len(test), -1), axis=1)
    assert hashlib.md5(packed.tobytes()).hexdigest() == digest
    assert irreducible_entropy(test) == pytest.approx(entropy, abs=5e-4)


def test_an_epoch_shows_every_image_at_most_once_and_the_next_in_another_order() -> None:
    numbered = torch.arange(100, dtype=torch.uint8).view(100, 1, 1, 1)
    batches = Batches(numbered, TARGETS["grey"](), 30, seed=0)
    assert batches.steps_per_epoch == 3
    epochs = [torch.cat([batches(step).values for step in range(e, e + 3)]).mul(255).round().flatten() for e in (0, 3)]
    for epoch in epochs:
        assert len(epoch.unique()) == 90
    assert not torch.equal(*epochs)


def test_a_batch_depends_on_the_step_alone() -> None:
    numbered = torch.arange(100, dtype=torch.uint8).view(100, 1, 1, 1)
    one, other = (Batches(numbered, TARGETS["grey"](), 30, seed=0) for _ in range(2))
    for step in range(7):
        one(step)
    assert torch.equal(one(7).values, other(7).values)


@pytest.mark.parametrize("size", [0, 101])
def test_a_batch_larger_than_the_data_is_refused(size: int) -> None:
    with pytest.raises(UsageError, match="100 training images"):
        Batches(torch.zeros(100, 1, 2, 2, dtype=torch.uint8), Binary(), size, seed=0)
