"""Images of any shape, from a network's first layer to the pictures of a run."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vaescope.errors import UsageError
from vaescope.families import DiscretisedLogistic
from vaescope.models import VAE, Flat
from vaescope.nets import MLP, Conv, DeepConv, Linear, Network, ResConv
from vaescope.outline import count

PRESETS: list[Network] = [MLP(), Conv(), ResConv(), DeepConv(), Linear()]
NARROW: list[Network] = [MLP(width=4), Conv(channels=2, hidden=4), ResConv(channels=4), DeepConv((2, 3, 4)), Linear()]
SIDES = st.integers(8, 256) | st.sampled_from((8, 9, 16, 17, 255, 256))
SHAPES = st.tuples(st.integers(1, 4), SIDES, SIDES)
SMALL = st.tuples(st.integers(1, 4), st.integers(8, 48), st.integers(8, 48))

every_preset = pytest.mark.parametrize("network", PRESETS, ids=lambda network: type(network).__name__)


def sized(network: Network, shape: tuple[int, ...], latent: int = 32) -> VAE:
    """A model without the memory for its parameters."""
    with torch.device("meta"):
        return Flat(latent=latent, network=network)(shape)


@every_preset
@settings(max_examples=8, deadline=None)
@given(shape=SHAPES)
def test_every_preset_fits_every_shape(network: Network, shape: tuple[int, int, int]) -> None:
    model = sized(network, shape)
    x = torch.rand(2, *shape, device="meta")
    likelihood = model(x).likelihood
    assert likelihood.mean.shape == x.shape
    assert likelihood.log_prob(x).shape == (2,)


@settings(max_examples=20, deadline=None)
@given(shape=SMALL, network=st.sampled_from(NARROW))
def test_reconstructions_have_the_shape_of_the_images(shape: tuple[int, int, int], network: Network) -> None:
    model = Flat(latent=3, network=network, likelihood=DiscretisedLogistic)(shape)
    x = torch.rand(2, *shape)
    mean = model(x).likelihood.mean
    assert mean.shape == x.shape
    assert 0 <= mean.min() <= mean.max() <= 1


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(3, 256, 256), (1, 8, 256), (4, 255, 64), (2, 37, 21), (3, 9, 255)], ids=str)
@pytest.mark.parametrize("network", NARROW, ids=lambda network: type(network).__name__)
def test_large_and_long_images_are_trained_on(network: Network, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    model = Flat(latent=3, network=network, likelihood=DiscretisedLogistic)(shape)
    x = torch.rand(4, *shape)
    loss = -model(x).likelihood.log_prob(x).mean()
    loss.backward()  # type: ignore[no-untyped-call]
    gradients = [p.grad for p in model.likelihood.parameters()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)
    assert model(x).likelihood.mean.shape == x.shape


@pytest.mark.parametrize(("side", "widths"), [(8, 3), (9, 4), (16, 4), (17, 5), (28, 5), (256, 5)])
def test_deep_convolutions_have_as_many_levels_as_the_sides_allow(side: int, widths: int) -> None:
    given = DeepConv((32, 64, 128, 256, 512)[:widths])
    for shape in ((1, side, side), (3, side, 256), (2, 200, side)):
        assert count(sized(DeepConv(), shape)) == count(sized(given, shape))
    with pytest.raises(UsageError, match="give fewer levels"):
        sized(DeepConv((2,) * (side.bit_length() + 1)), (1, side, side))


@pytest.mark.parametrize("network", [Conv(), ResConv(), DeepConv()], ids=lambda network: type(network).__name__)
def test_convolutions_do_not_grow_with_the_area_of_an_image(network: Network) -> None:
    small, large = (count(sized(network, (3, side, side))) for side in (32, 128))
    assert large < 8 * small  # a network of linear layers has sixteen times as many
