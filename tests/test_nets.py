"""Networks fit images of any size, and any number of leading axes."""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from vaescope.conditional import Conditional
from vaescope.data.examples import Examples
from vaescope.errors import UsageError
from vaescope.families import Bernoulli
from vaescope.models import Flat, draw
from vaescope.nets import MLP, Conv, DeepConv, Linear, Network, ResConv, fold, join
from vaescope.nets.layers import convolution, normalisation
from vaescope.objectives import ELBO
from vaescope.outline import count, describe, model_outline, outline

NETWORKS = [
    MLP(width=8),
    MLP(width=8, encoder_blocks=0, norm="batch", dropout=0.2),
    MLP(width=8, decoder_blocks=1, norm="layer", activation="leaky_relu"),
    Conv(channels=4, hidden=8),
    Conv(channels=2, levels=2, hidden=4, blocks=1, norm="group", dropout=0.2),
    Conv(channels=4, hidden=8, norm="batch"),
    ResConv(channels=4),
    ResConv(channels=4, levels=1, blocks=2, norm="batch", dropout=0.2),
    ResConv(channels=4, norm="none"),
    DeepConv(widths=(4, 8)),
    DeepConv(widths=(6, 3), norm="group", dropout=0.2),
    DeepConv(widths=(5,), norm="none"),
    Linear(),
]
SIZES = [(1, 28, 28), (2, 20, 37), (4, 65, 65), (3, 32, 32)]
SHAPES = st.tuples(st.integers(1, 4), st.integers(4, 40), st.integers(4, 40))

every_network = pytest.mark.parametrize("network", NETWORKS, ids=str)


def halves(network: Network, shape: tuple[int, ...] = (1, 12, 9), seed: int = 0) -> nn.ModuleDict:
    """An encoder to 6 numbers and a decoder of 3, whose running statistics are no longer those at the start."""
    torch.manual_seed(seed)
    built = nn.ModuleDict({"encoder": network.encoder(shape, (6,)), "decoder": network.decoder(3, shape)}).double()
    built["encoder"](torch.rand(16, *shape).double())
    built["decoder"](torch.randn(16, 3).double())
    return built


def outputs(built: nn.ModuleDict, shape: tuple[int, ...] = (1, 12, 9), batch: tuple[int, ...] = (3, 2)) -> list[Tensor]:
    """What both make of inputs that are always the same."""
    source = torch.Generator().manual_seed(1)
    x = torch.rand(*batch, *shape, generator=source).double()
    return [built["encoder"](x), built["decoder"](torch.randn(*batch, 3, generator=source).double())]


@settings(max_examples=25, deadline=None)
@given(shape=SHAPES, network=st.sampled_from(NETWORKS))
def test_reconstructions_have_the_shape_of_the_images(shape: tuple[int, int, int], network: Network) -> None:
    model = Flat(latent=3, network=network)(shape)
    x = torch.rand(2, *shape)
    assert model(x).likelihood.mean.shape == x.shape
    assert model(x, pick=draw(5)).likelihood.mean.shape == (5, *x.shape)


@every_network
@pytest.mark.parametrize("shape", SIZES, ids=str)
def test_any_number_of_leading_axes_fits(network: Network, shape: tuple[int, ...]) -> None:
    built = halves(network, shape).eval()
    for batch in ((), (1,), (2,), (2, 1, 3)):
        encoded, decoded = outputs(built, shape, batch)
        assert encoded.shape == (*batch, 6)
        assert decoded.shape == (*batch, *shape)


@every_network
def test_leading_axes_do_not_change_values(network: Network) -> None:
    built = halves(network).eval()
    x, z = torch.rand(3, 2, 1, 12, 9).double(), torch.randn(3, 2, 3).double()
    for i in range(3):
        assert torch.allclose(built["encoder"](x)[i], built["encoder"](x[i]), atol=1e-12)
        for j in range(2):
            assert torch.allclose(built["decoder"](z)[i, j], built["decoder"](z[i, j]), atol=1e-12)


@every_network
def test_gradients_reach_every_parameter(network: Network) -> None:
    torch.manual_seed(0)
    model = Flat(latent=3, network=network)((2, 12, 9)).double()
    ELBO()(model, torch.rand(32, 2, 12, 9).double())["loss"].backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 1e-10, f"{name} gets rounding errors: a normalisation takes it away again"


@every_network
def test_two_networks_of_one_seed_are_identical(network: Network) -> None:
    before, key = repr(network), hash(network)
    first, second = halves(network).state_dict(), halves(network).state_dict()
    assert (repr(network), hash(network)) == (before, key)
    assert list(first) == list(second)
    assert all(torch.equal(first[name], second[name]) for name in first)


@every_network
def test_evaluation_is_deterministic_and_dropout_draws_in_training(network: Network) -> None:
    built = halves(network)
    drops = getattr(network, "dropout", 0.0) > 0
    for first, second in zip(outputs(built), outputs(built), strict=True):
        assert torch.equal(first, second) != drops
    built.eval()
    for first, second in zip(outputs(built), outputs(built), strict=True):
        assert torch.equal(first, second)


@every_network
def test_a_state_dict_is_the_whole_network(network: Network) -> None:
    built, other = halves(network).eval(), halves(network, seed=5).eval()
    assert not torch.equal(outputs(built)[0], outputs(other)[0])
    other.load_state_dict(built.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(outputs(built), outputs(other), strict=True))


@every_network
def test_only_what_is_asked_for_is_there(network: Network) -> None:
    modules = list(halves(network).modules())
    norm, dropout = getattr(network, "norm", "none"), getattr(network, "dropout", 0.0)
    assert any(isinstance(module, _BatchNorm) for module in modules) == (norm == "batch")
    assert any(isinstance(module, nn.LayerNorm) for module in modules) == (norm == "layer")
    assert any(isinstance(module, nn.GroupNorm) for module in modules) == (norm == "group")
    assert {m.p for m in modules if isinstance(m, nn.Dropout | nn.Dropout2d)} == ({dropout} if dropout else set())


def test_the_defaults_have_the_layers_and_draws_of_plain_ones() -> None:
    def drawn(build: Callable[[], list[nn.Module]]) -> list[Tensor]:
        torch.manual_seed(7)
        return [*(p for module in build() for p in module.parameters()), torch.rand(1)]

    mlp, conv, shape = MLP(), Conv(), (1, 28, 28)
    plain = [
        (lambda: [mlp.encoder(shape, (4,))], [(784, 256), *[(256, 256)] * 3, (256, 4)]),
        (lambda: [mlp.decoder(2, shape)], [(2, 256), *[(256, 256)] * 5, (256, 784)]),
        (lambda: [conv.encoder(shape, (4,))], [(1, 32, 3, 2, 1), (32, 64, 3, 2, 1), (3136, 256), (256, 4)]),
        (lambda: [conv.decoder(2, shape)], [(2, 256), (256, 3136), (64, 32, 3, 1, 1), (32, 1, 3, 1, 1)]),
    ]
    for build, sizes in plain:
        by_hand = drawn(lambda sizes=sizes: [(nn.Linear if len(size) == 2 else nn.Conv2d)(*size) for size in sizes])
        ours = drawn(build)
        assert len(ours) == len(by_hand)
        assert all(torch.equal(a, b) for a, b in zip(ours, by_hand, strict=True))
    assert list(MLP(encoder_blocks=1).encoder(shape, (4,)).state_dict()) == [
        "1.0.weight", "1.0.bias", "2.body.0.weight", "2.body.0.bias", "3.weight", "3.bias",
    ]  # fmt: skip
    assert list(Conv(blocks=1, levels=1).encoder(shape, (4,)).state_dict())[:4] == [
        "0.layers.0.0.weight", "0.layers.0.0.bias", "0.layers.1.body.0.weight", "0.layers.1.body.0.bias",
    ]  # fmt: skip


def test_normalisations_normalise() -> None:
    torch.manual_seed(0)
    vectors, images = 5 + 3 * torch.randn(7, 50, 8).double(), 5 + 3 * torch.randn(40, 8, 5, 6).double()
    cases = [("batch", 1, vectors, (0, 1)), ("layer", 1, vectors, (2,)), ("batch", 3, images, (0, 2, 3))]
    for norm, ndims, x, axes in cases:
        y = normalisation(8, ndims, norm)[0].double()(x)  # type: ignore[arg-type]
        assert y.mean(axes).abs().max() < 1e-6
        assert (y.var(axes, correction=0) - 1).abs().max() < 1e-4
    y = normalisation(8, 3, "group")[0].double()(images).reshape(40, 2, -1)  # two groups of four channels
    assert y.mean(2).abs().max() < 1e-6
    assert (y.var(2, correction=0) - 1).abs().max() < 1e-4


def test_groups_are_at_most_32_and_never_of_few_channels() -> None:
    for channels in range(1, 600):
        (norm,) = normalisation(channels, 3, "group")
        assert isinstance(norm, nn.GroupNorm)
        assert norm.num_groups <= 32
        assert norm.num_groups == 1 or channels // norm.num_groups >= 4
    assert normalisation(128, 3, "group")[0].num_groups == 32


def test_dropout_of_images_leaves_out_whole_channels() -> None:
    torch.manual_seed(0)
    y = convolution(1, 64, 1, "silu", dropout=0.5)(torch.rand(40, 1, 5, 5))
    empty = (y == 0).double().mean((2, 3))
    assert set(empty.flatten().tolist()) == {0.0, 1.0}
    assert abs(empty.mean() - 0.5) < 5 * 0.5 / math.sqrt(40 * 64)


def test_linear_networks_are_affine() -> None:
    torch.manual_seed(0)
    for net, x in (
        (Linear().encoder((3, 5, 4), (6,)).double(), torch.randn(2, 9, 3, 5, 4).double()),
        (Linear().decoder(7, (3, 5, 4)).double(), torch.randn(2, 9, 7).double()),
    ):
        assert torch.allclose(net(x[0]) + net(x[1]), net(x[0] + x[1]) + net(0 * x[0]))
        assert sum(isinstance(module, nn.Linear) for module in net.modules()) == 1


@pytest.mark.parametrize(
    ("shape", "sizes"),
    [
        ((1, 28, 28), [(32, 14, 14), (64, 7, 7), (128, 4, 4), (256, 2, 2), (512, 1, 1)]),
        ((3, 65, 20), [(32, 33, 10), (64, 17, 5), (128, 9, 3), (256, 5, 2), (512, 3, 1)]),
    ],
)
def test_deep_convolutions_walk_the_same_sizes_down_and_up(
    shape: tuple[int, ...], sizes: list[tuple[int, ...]]
) -> None:
    encoder = outline(DeepConv().encoder(shape, (4,)).eval(), torch.zeros(1, *shape))
    decoder = outline(DeepConv().decoder(2, shape).eval(), torch.zeros(1, 2))
    assert [layer.shape for layer in encoder] == [*sizes, (4,)]
    assert [layer.shape for layer in decoder] == [*sizes[::-1], (32, *shape[1:]), shape]
    up = ["linear", *["up-conv 3×3"] * 5, "conv 3×3"]
    assert [layer.name for layer in decoder] == up


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


@every_network
def test_the_outline_counts_every_parameter_of_both_networks(network: Network) -> None:
    model = Flat(network=network)((1, 28, 28))
    encoder, decoder = model_outline(model, Examples(torch.zeros(1, 1, 28, 28)))
    assert sum(layer.parameters for layer in encoder) == count(model.posterior.net)
    assert sum(layer.parameters for layer in decoder) == count(model.likelihood.net)
    assert encoder[-1].shape == (4,)
    assert decoder[-1].shape == (1, 28, 28)
    assert all(layer.name for layer in encoder + decoder)


def test_the_outline_names_what_follows_a_layer() -> None:
    def first(network: Network, shape: tuple[int, ...] = (1, 28, 28)) -> tuple[str, str]:
        layers = [layer for layer in network.encoder(shape, (4,)).children() if count(layer)]
        return describe(layers[0])

    assert first(MLP()) == ("linear", "SiLU")
    assert first(MLP(norm="batch", dropout=0.1)) == ("linear", "batch norm, SiLU, dropout 0.1")
    assert first(MLP(norm="layer", activation="relu")) == ("linear", "layer norm, ReLU")
    assert first(Conv(norm="group", dropout=0.25)) == ("conv 3×3", "stride 2, group norm, SiLU, dropout 0.25")
    assert first(DeepConv()) == ("conv 3×3", "stride 2, batch norm, LeakyReLU")
    assert first(ResConv(blocks=2)) == ("conv 3×3", "stride 2, residual ×2, group norm, SiLU")
    assert first(Linear()) == ("linear", "")
    assert describe(nn.GroupNorm(1, 4)) == ("GroupNorm", "group norm")


REFUSED: list[tuple[Callable[[], object], str]] = [
    (lambda: MLP(width=0), "MLP(width=0) cannot be built: give width of at least 1"),
    (lambda: MLP(width=1, norm="layer"), "MLP(width=1) cannot be built: give width of at least 2"),
    (lambda: MLP(encoder_blocks=-1), "give encoder_blocks of at least 0"),
    (lambda: MLP(decoder_blocks=-1), "give decoder_blocks of at least 0"),
    (lambda: MLP(dropout=1.0), "MLP(dropout=1.0) cannot be built: give a share from 0 to below 1"),
    (lambda: MLP(dropout=float("nan")), "give a share from 0 to below 1"),
    (lambda: Conv(channels=0), "give channels of at least 1"),
    (lambda: Conv(levels=0), "give levels of at least 1"),
    (lambda: Conv(hidden=0), "give hidden of at least 1"),
    (lambda: Conv(blocks=-1), "give blocks of at least 0"),
    (lambda: Conv(dropout=-0.1), "give a share from 0 to below 1"),
    (lambda: Conv(levels=9).encoder((1, 28, 28), (4,)), "28x28 images can be halved 5 times: give fewer levels"),
    (lambda: ResConv(blocks=0), "give blocks of at least 1"),
    (lambda: ResConv(dropout=2), "give a share from 0 to below 1"),
    (lambda: ResConv(levels=4).decoder(2, (1, 8, 99)), "8x99 images can be halved 3 times: give fewer levels"),
    (lambda: DeepConv(widths=()), "give one or more widths of at least 1"),
    (lambda: DeepConv(widths=(8, 0)), "give one or more widths of at least 1"),
    (lambda: DeepConv(dropout=1.5), "give a share from 0 to below 1"),
    (lambda: DeepConv((1,) * 5).encoder((1, 16, 28), (4,)), "DeepConv has 5 levels, but the sides of 16x28 images"),
    (lambda: Flat(latent=0), "at least 1"),
]


@pytest.mark.parametrize(("make", "words"), REFUSED, ids=[words for _, words in REFUSED])
def test_networks_that_cannot_be_built_are_refused_in_one_line(make: Callable[[], object], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        make()
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
