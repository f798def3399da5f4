"""Networks fit images of any size, and any number of leading axes."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vaescope.conditional import Conditional
from vaescope.data.examples import Examples
from vaescope.errors import UsageError
from vaescope.families import Bernoulli
from vaescope.models import Flat, draw
from vaescope.nets import MLP, Conv, Network, fold, join
from vaescope.outline import count, model_outline

SHAPES = st.tuples(st.integers(1, 4), st.integers(4, 40), st.integers(4, 40))


@settings(max_examples=25, deadline=None)
@given(
    shape=SHAPES,
    network=st.sampled_from([MLP(width=8), Conv(channels=4, hidden=8), Conv(channels=2, hidden=4, blocks=1)]),
)
def test_reconstructions_have_the_shape_of_the_images(shape: tuple[int, int, int], network: Network) -> None:
    model = Flat(latent=3, network=network)(shape)
    x = torch.rand(2, *shape)
    assert model(x).likelihood.mean.shape == x.shape
    assert model(x, pick=draw(5)).likelihood.mean.shape == (5, *x.shape)


@pytest.mark.parametrize("network", [MLP(width=8), Conv(channels=4, hidden=8)])
def test_leading_axes_do_not_change_values(network: Network) -> None:
    torch.manual_seed(0)
    encoder, decoder = network.encoder((1, 12, 9), (4,)), network.decoder(4, (1, 12, 9))
    x, z = torch.rand(3, 2, 1, 12, 9), torch.randn(3, 2, 4)
    assert torch.allclose(encoder(x)[1], encoder(x[1]), atol=1e-6)
    assert torch.allclose(decoder(z)[1], decoder(z[1]), atol=1e-6)


def test_fold_hands_one_batch_axis_to_the_network() -> None:
    seen = []

    def net(x: torch.Tensor) -> torch.Tensor:
        seen.append(x.shape)
        return x.sum((-1, -2, -3))

    assert fold(net, torch.ones(2, 3, 1, 4, 4), 3).tolist() == [[16.0] * 3] * 2
    assert seen == [(6, 1, 4, 4)]


def test_join_puts_a_context_beside_vectors_and_images() -> None:
    context = torch.tensor([[1.0, 2.0]])
    assert join(torch.zeros(5, 3), context, 1).shape == (5, 5)
    joined = join(torch.zeros(7, 5, 1, 4, 6), context[..., None, None].expand(5, 2, 4, 6), 3)
    assert joined.shape == (7, 5, 3, 4, 6)
    assert (joined[..., 2, :, :] == 2).all()


def test_a_conditional_takes_a_context() -> None:
    net = torch.nn.Sequential(torch.nn.Linear(2 + 3, 4), torch.nn.Unflatten(-1, (1, 2, 2)))
    likelihood = Conditional(net, Bernoulli((1, 2, 2)), ndims=1, beside=torch.nn.Identity())
    context = torch.eye(3)[[0, 1, 2, 0, 1, 2]]
    assert likelihood(torch.zeros(6, 2), context).batch_shape == (6,)
    assert likelihood(torch.zeros(4, 6, 2), context).batch_shape == (4, 6)
    with pytest.raises(UsageError, match="was given no labels"):
        likelihood(torch.zeros(6, 2))


@pytest.mark.parametrize("network", [MLP(), Conv()])
def test_a_model_of_labelled_images_sees_the_labels(network: Network) -> None:
    torch.manual_seed(0)
    model = Flat(network=network, labels=True)((1, 28, 28), classes=3)
    x, context = torch.rand(6, 1, 28, 28), model.context(torch.tensor([0, 1, 2, 0, 1, 2]))
    one, other = (model.infer(x, shown).mean for shown in (context, context.roll(1, 0)))
    assert not torch.allclose(one, other)
    z = torch.zeros(6, 2)
    assert not torch.allclose(model.likelihood(z, context).mean, model.likelihood(z, context.roll(1, 0)).mean)
    with pytest.raises(UsageError, match="without them"):
        Flat(network=network)((1, 28, 28)).infer(x, context)
    with pytest.raises(UsageError, match="the images have no labels"):
        Flat(network=network, labels=True)((1, 28, 28))


def test_two_models_of_one_seed_are_identical() -> None:
    def build() -> dict[str, torch.Tensor]:
        torch.manual_seed(3)
        return Flat(network=Conv())((1, 28, 28)).state_dict()

    first, second = build(), build()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("network", [MLP(), Conv(), Conv(blocks=1), MLP(encoder_blocks=0)])
def test_the_outline_counts_every_parameter_of_both_networks(network: Network) -> None:
    model = Flat(network=network)((1, 28, 28))
    encoder, decoder = model_outline(model, Examples(torch.zeros(1, 1, 28, 28)))
    assert sum(layer.parameters for layer in encoder) == count(model.posterior.net)
    assert sum(layer.parameters for layer in decoder) == count(model.likelihood.net)
    assert encoder[-1].shape == (4,)
    assert decoder[-1].shape == (1, 28, 28)
    assert all(layer.name for layer in encoder + decoder)


@pytest.mark.parametrize(
    "make",
    [
        lambda: MLP(width=0),
        lambda: Conv(levels=0),
        lambda: Conv(levels=9).encoder((1, 28, 28), (4,)),
        lambda: Flat(latent=0),
    ],
)
def test_networks_that_cannot_be_built_are_refused(make: object) -> None:
    with pytest.raises(UsageError):
        make()  # type: ignore[operator]
