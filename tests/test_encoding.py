"""What is said of an image depends on that image alone; likelihoods against exact mathematics."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from data_helpers import refused
from exact_models import Quadrature
from torch.distributions import Independent, Normal, OneHotCategorical

from vaescope import encoding, families, priors
from vaescope.cli import main
from vaescope.data.examples import Examples
from vaescope.data.targets import TARGETS
from vaescope.distributions import centre, draw_at
from vaescope.metrics import negative_elbo
from vaescope.models import VAE, Flat, SemiSupervised, greys, own_draw
from vaescope.nets import MLP
from vaescope.objectives import distortion, rate
from vaescope.run import Run
from vaescope.streams import uniforms

SMALL = MLP(width=16, encoder_blocks=1, decoder_blocks=1)
OTHERS = {"PowerSpherical": "HypersphericalUniform", "VonMisesFisher": "HypersphericalUniform",
          "CategoricalCodes": "UniformCodes"}  # fmt: skip
POSTERIORS = ["DiagonalNormal", "FullNormal", "InverseAutoregressive", "CategoricalCodes", "PointMass",
              "PowerSpherical", "VonMisesFisher"]  # fmt: skip
TARGET = TARGETS["binary"]()
KINDS = [*POSTERIORS, "labels", "semi"]


def stirred(model: VAE) -> VAE:
    """A model whose every part does something: weights that start at zero no longer are."""
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn_like(p) * 0.1)
    return model.eval()


def make(kind: str) -> VAE:
    """A model of 28x28 images."""
    torch.manual_seed(0)
    if kind == "semi":
        return stirred(SemiSupervised(latent=3, network=SMALL, classifier=SMALL)((1, 28, 28), 4))
    if kind == "labels":
        return stirred(Flat(latent=3, network=SMALL, labels=True)((1, 28, 28), 4))
    prior = getattr(priors, OTHERS.get(kind, "StandardNormal"))
    return stirred(Flat(latent=3, network=SMALL, posterior=getattr(families, kind), prior=prior)((1, 28, 28)))


def pictures_of(count: int, model: VAE) -> Examples:
    """Binary images that all differ, with labels where the model wants them."""
    source = torch.Generator().manual_seed(1)
    shares = 0.2 + 0.6 * torch.rand(count, 1, 1, 1, generator=source)
    values = (torch.rand(count, 1, 28, 28, generator=source) < shares).float()
    return Examples(values, model.context(torch.arange(count) % max(1, model.classes)))


def table(model: VAE, parts: list[Examples]) -> dict[str, np.ndarray]:
    """All rows of some parts."""
    found = list(encoding.rows(model, parts))
    return {name: np.concatenate([row[name] for row in found]) for name in found[0]}


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert one.keys() == other.keys()
    for name, column in one.items():
        assert column.dtype == other[name].dtype
        assert np.allclose(column, other[name], rtol=1e-5, atol=1e-5), name


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_depends_on_its_image_alone(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not on the others, nor on their order, nor on where chunks end, nor on what was drawn before."""
    model = make(kind)
    images = pictures_of(13, model)
    whole = table(model, [images])
    torch.rand(7)
    same(whole, table(model, [images[:]]))
    same(whole, table(model, [images[i : i + 1] for i in range(13)]))
    order = np.random.default_rng(0).permutation(13)
    same({name: column[order] for name, column in whole.items()}, table(model, [images[torch.from_numpy(order)]]))
    same({name: column[[4, 4, 9]] for name, column in whole.items()}, table(model, [images[[4, 4, 9]]]))
    monkeypatch.setattr(encoding, "CHUNK", 3)
    same(whole, table(model, list(images.split(5))))
    if kind != "PointMass":
        assert len(set(whole["elbo"].tolist())) == 13


@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_those_of_the_model(kind: str) -> None:
    model = make(kind)
    images = pictures_of(6, model)
    found = table(model, [images])
    with torch.no_grad():
        q = model.infer(images.values, images.context)
        assert np.allclose(found["mean"], centre(q), atol=1e-6)
        assert ("elbo" in found) == (kind != "PointMass")
        assert ("scale" in found) == (kind not in ("PointMass", "InverseAutoregressive"))
        if "scale" in found:
            assert np.allclose(found["scale"], q.stddev, atol=1e-6)
        assert ("predicted" in found) == (kind == "semi")
    assert np.array_equal(found["mean"], encoding.encode(model, images))
    assert found["mean"].shape == (6, 3)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "PointMass"])
def test_the_elbo_is_unbiased_for_each_image_and_its_errors_average_out(kind: str) -> None:
    """The errors of different images are independent. With one noise for all, their mean would not shrink."""
    model = make(kind)
    images = pictures_of(64 if kind in ("PowerSpherical", "VonMisesFisher") else 400, model)
    mine = table(model, [images])["elbo"]
    draws = []
    torch.manual_seed(5)
    with torch.no_grad():
        for _ in range(60):
            trace = model(images.values, images.context)
            draws.append(-(distortion(trace, images.values) + rate(trace)).double().numpy())
    z = (mine - np.mean(draws, 0)) / np.std(draws, 0)
    assert abs(z.mean()) < 4 / math.sqrt(len(z))
    assert np.median(np.abs(z)) == pytest.approx(0.67, abs=0.2)


def test_the_score_is_within_the_errors_of_its_draws() -> None:
    model = make("DiagonalNormal")
    images = pictures_of(200, model)
    mine = table(model, [images])["elbo"].mean()
    scores = np.array([negative_elbo(model, images, seed=seed).negative_elbo for seed in range(20)])
    assert -mine == pytest.approx(scores.mean(), abs=4 * scores.std())


def test_one_encoder_pass_and_one_decoder_pass_a_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    model, seen = make("DiagonalNormal"), []
    for part in (model.posterior, model.likelihood):
        part.register_forward_hook(lambda *call: seen.append(len(call[1][0])))
    monkeypatch.setattr(encoding, "CHUNK", 4)
    found = list(encoding.rows(model, [pictures_of(6, model)]))
    assert seen == [4, 4, 2, 2]
    assert [len(row["mean"]) for row in found] == [4, 2]


def test_parts_are_asked_for_one_at_a_time_and_the_caller_is_left_alone() -> None:
    """The mode of the model, gradients and random numbers between two rows are those of the caller."""
    model, asked = make("VonMisesFisher").train(), []

    def parts() -> Iterator[Examples]:
        for number in range(3):
            asked.append(number)
            yield pictures_of(2, model)

    torch.manual_seed(3)
    expected = torch.rand(3).tolist()
    torch.manual_seed(3)
    drawn = []
    for done, _ in enumerate(encoding.rows(model, parts())):
        assert asked == list(range(done + 1))
        assert model.training
        assert torch.is_grad_enabled()
        drawn.append(torch.rand(1).item())
    assert drawn == expected


@pytest.mark.parametrize("kind", ["DiagonalNormal", "FullNormal", "labels", "semi", "PowerSpherical"])
def test_a_likelihood_depends_on_its_image_alone(kind: str) -> None:
    model = make(kind)
    images = pictures_of(5, model)
    whole = encoding.log_likelihood(model, images, 25)
    assert whole.shape == (5,)
    assert np.allclose(encoding.log_likelihood(model, images[[3, 1]], 25), whole[[3, 1]], atol=1e-3)
    assert np.allclose([encoding.log_likelihood(model, images[i : i + 1], 25)[0] for i in range(5)], whole, atol=1e-3)


def test_the_likelihood_is_that_of_quadrature() -> None:
    case = Quadrature()
    model, x = case.model(), case.images()
    exact = case.log_likelihood().detach().numpy()
    many = encoding.log_likelihood(model, Examples(x), 1000)
    assert np.allclose(many, exact, atol=0.25)
    assert abs((many - exact).mean()) < 0.01
    few = encoding.log_likelihood(model, Examples(x), 2)
    assert few.mean() < many.mean() - 0.1  # a bound that rises
    elbo = table(model, [Examples(x)])["elbo"]
    assert elbo.mean() < few.mean()


# the random numbers that an image brings along


def test_random_numbers_belong_to_the_row() -> None:
    source = np.random.default_rng(0)
    rows = source.integers(0, 2, (50, 9)).astype(np.float32)
    numbers = uniforms(rows, 4, "latents")
    assert numbers.shape == (50, 4)
    assert np.array_equal(uniforms(rows[::-1], 4, "latents"), numbers[::-1])
    assert np.array_equal(uniforms(rows[7:8], 4, "latents"), numbers[7:8])
    assert np.array_equal(uniforms(rows, 9, "latents")[:, :4], numbers)
    assert uniforms(rows[:0], 4, "latents").shape == (0, 4)
    for other in (("latents", 1), ("latents", 0), ("binary",)):
        assert not np.isin(uniforms(rows, 4, *other), numbers).any()
    near = rows.copy()
    near[:, 0] = 1 - near[:, 0]
    assert abs(np.corrcoef(uniforms(near, 1, "a")[:, 0], uniforms(rows, 1, "a")[:, 0])[0, 1]) < 0.5


def test_random_numbers_are_uniform_and_independent() -> None:
    numbers = uniforms(np.arange(20_000), 3, "test")
    assert ((numbers > 0) & (numbers < 1)).all()
    for column in numbers.T:
        steps = np.abs(np.sort(column) - (np.arange(20_000) + 0.5) / 20_000)
        assert steps.max() < 1.95 / math.sqrt(20_000)  # Kolmogorov and Smirnov, at 0.1 %
    assert np.abs(np.corrcoef(numbers.T) - np.eye(3)).max() < 4 / math.sqrt(20_000)
    assert abs(np.corrcoef(numbers[1:, 0], numbers[:-1, 0])[0, 1]) < 4 / math.sqrt(20_000)


@pytest.mark.parametrize("kind", [*POSTERIORS, "a label"])
def test_a_draw_at_uniform_numbers_is_a_draw(kind: str) -> None:
    """Its mean, its covariance and its mean log-probability are those of draws by torch."""
    torch.manual_seed(0)
    slow = kind in ("PowerSpherical", "VonMisesFisher")
    if kind == "a label":
        q = OneHotCategorical(logits=torch.tensor([[1.0, 0.0, -1.0]]))
    else:
        family = make(kind).posterior.family
        q = family(torch.randn(1, *family.inputs)).expand((1,))
    count = 400 if slow else 40_000
    with torch.no_grad():
        mine = draw_at(q, torch.rand(count, 1, 3, dtype=torch.float64))
        theirs = q.sample(torch.Size((40_000,)))
    assert mine.shape == (count, 1, 3)
    assert mine.dtype == theirs.dtype
    first = [torch.cat((z[:, 0], z[:, 0].square(), z[:, 0] * z[:, 0].roll(1, -1)), -1) for z in (mine, theirs)]
    if kind == "InverseAutoregressive":  # which knows the log-probability of no more than its last draw
        assert q.log_prob(mine) is not None
    elif kind != "PointMass":
        first = [torch.cat((f, q.log_prob(z)), -1) for f, z in zip(first, (mine, theirs), strict=True)]
    error = first[1].std(0) * math.sqrt(1 / count + 1 / 40_000)
    assert ((first[0].mean(0) - first[1].mean(0)).abs() <= 4.5 * error + 1e-6).all()


def test_a_flow_remembers_the_draw() -> None:
    """Its log-probability is that of the inverted flow."""
    family = make("InverseAutoregressive").posterior.family
    q = family(torch.randn(5, *family.inputs))
    with torch.no_grad():
        z = draw_at(q, torch.rand(5, 3, dtype=torch.float64))
        assert torch.allclose(q.log_prob(z), q.log_prob(z.clone()), atol=1e-4)


def test_the_quantiles_of_a_normal_are_exact() -> None:
    q = Independent(Normal(torch.tensor([1.0, -2.0]), torch.tensor([2.0, 0.5])), 1)
    found = draw_at(q, torch.tensor([0.975, 0.5]).double())
    assert found.tolist() == pytest.approx([1 + 2 * 1.959964, -2.0])


def test_a_distribution_without_such_draws_says_so() -> None:
    with pytest.raises(NotImplementedError, match="Cauchy"):
        draw_at(torch.distributions.Cauchy(torch.zeros(1), torch.ones(1)), torch.rand(1))


def test_draws_of_a_batch_with_samples_have_the_shape_of_drawn_ones() -> None:
    q = make("DiagonalNormal").infer(torch.zeros(4, 1, 28, 28))
    x = pictures_of(4, make("DiagonalNormal")).values
    one, many = own_draw(x)(0, q, q), own_draw(x, 7)(0, q, q)
    assert one.shape == (4, 3)
    assert many.shape == (7, 4, 3)
    assert not torch.equal(own_draw(x, 7, turn=1)(0, q, q), many)
    assert not torch.equal(own_draw(x)(1, q, q), one)  # the second latent variable has numbers of its own


# images of one's own


def test_an_image_is_binarised_alone() -> None:
    grey = torch.randint(0, 256, (40, 3, 6, 5), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    grey[0], grey[1] = 0, 255
    values = TARGETS["binary"]().alone(grey).values
    assert values.dtype == torch.float32
    assert values.shape == grey.shape
    assert set(values.unique().tolist()) == {0.0, 1.0}
    assert (values[0] == 0).all()
    assert (values[1] == 1).all()
    assert torch.equal(TARGETS["binary"]().alone(grey[17:18]).values, values[17:18])
    assert torch.equal(TARGETS["binary"]().alone(grey.flip(0)).values.flip(0), values)
    flat = torch.arange(2000).remainder(100).add(50).to(torch.uint8).view(-1, 1, 1, 1)  # a hundred images, twenty times
    assert TARGETS["binary"]().alone(flat).values.view(20, 100).std(0).max() == 0


@pytest.mark.parametrize("level", [3, 77, 128, 250])
def test_a_pixel_is_on_as_often_as_it_is_bright(level: int) -> None:
    grey = torch.full((3000, 1, 1, 3), level, dtype=torch.uint8)
    grey[:, 0, 0, :2] = torch.from_numpy(np.arange(3000)[:, None] // [[60, 1]] % 60).to(torch.uint8)  # all differ
    share = TARGETS["binary"]().alone(grey).values[:, 0, 0, 2].mean().item()
    expected = level / 255
    assert share == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / 3000))


@pytest.mark.parametrize("name", ["grey", "centred"])
def test_greys_are_themselves_alone(name: str) -> None:
    grey = torch.randint(0, 256, (4, 1, 5, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    target = TARGETS[name]()  # type: ignore[index]
    assert torch.equal(target.alone(grey).values, target.evaluation([grey])[0].values)


# images of latents


@pytest.mark.parametrize("kind", ["DiagonalNormal", "labels", "semi", "PointMass"])
def test_what_is_decoded_is_what_pictures_show(kind: str) -> None:
    model = make(kind)
    images = pictures_of(6, model)
    made = encoding.reconstruct(model, TARGET, images)
    assert made.shape == (6, 1, 28, 28)
    labels = None if images.context is None else images.context.argmax(-1).numpy()
    assert np.allclose(encoding.decode(model, TARGET, encoding.encode(model, images), labels), made, atol=1e-5)
    drawn = encoding.sample(model, TARGET, 5, 0.7, seed=3)
    context = model.context(torch.arange(5) % 4) if model.classes else None
    assert np.array_equal(drawn, greys.sample(model, TARGET, 5, 0.7, 3, context).numpy())
    assert not np.array_equal(drawn, encoding.sample(model, TARGET, 5, 0.7, seed=4))
    if model.classes:
        one = encoding.sample(model, TARGET, 5, 0.7, seed=3, label=2)
        assert np.allclose(one[2], drawn[2], atol=1e-6)
        assert not np.allclose(one[0], drawn[0], atol=1e-6)


MISTAKES: dict[str, tuple[str, Callable[[VAE], object], str]] = {
    "one axis": (
        "DiagonalNormal",
        lambda m: encoding.decode(m, TARGET, np.zeros(3)),
        "shape (3,): give latents",
    ),
    "other latents": ("DiagonalNormal", lambda m: encoding.decode(m, TARGET, np.zeros((2, 4))), "shape (N, 3)"),
    "no number": (
        "DiagonalNormal",
        lambda m: encoding.decode(m, TARGET, np.full((1, 3), np.nan)),
        "not finite",
    ),
    "no labels": ("labels", lambda m: encoding.decode(m, TARGET, np.zeros((2, 3))), "there are none"),
    "labels": (
        "DiagonalNormal",
        lambda m: encoding.decode(m, TARGET, np.zeros((2, 3)), [0, 1]),
        "knows no labels",
    ),  # type: ignore[arg-type]
    "one label": (
        "labels",
        lambda m: encoding.decode(m, TARGET, np.zeros((2, 3)), np.zeros(1, int)),
        "give 2 whole",
    ),
    "half labels": ("labels", lambda m: encoding.decode(m, TARGET, np.zeros((2, 3)), np.zeros(2)), "float64"),
    "class 4": (
        "labels",
        lambda m: encoding.decode(m, TARGET, np.zeros((2, 3)), np.array([0, 4])),
        "0 to 4: give",
    ),
    "sample class 4": (
        "semi",
        lambda m: encoding.sample(m, TARGET, 1, label=4),
        "4 to 4: give numbers from 0 to 3",
    ),
    "no samples": ("DiagonalNormal", lambda m: encoding.sample(m, TARGET, 0), "0 samples"),
    "cold": ("DiagonalNormal", lambda m: encoding.sample(m, TARGET, 1, -1.0), "temperature -1"),
    "too cold": ("DiagonalNormal", lambda m: encoding.sample(m, TARGET, 1, math.nan), "temperature nan"),
    "an autoencoder": ("PointMass", lambda m: encoding.log_likelihood(m, pictures_of(1, m)), "point mass"),
    "no draws": (
        "DiagonalNormal",
        lambda m: encoding.log_likelihood(m, pictures_of(1, m), 0),
        "at least 1",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_told_in_one_line(name: str) -> None:
    kind, ask, expected = MISTAKES[name]
    assert expected in refused(ask, make(kind))


def test_the_verb_writes_the_same_in_all_formats_and_for_one_image_as_for_all(run_folder: Path, tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    grey = np.concatenate([part.images.numpy()[:, 0] for part in Run.load(run_folder).test_images()])
    np.save(tmp_path / "all.npy", grey)
    np.save(tmp_path / "one.npy", grey[41:42])
    for images, out in (("all", "all.npz"), ("one", "one.npz"), ("all", "all.parquet")):
        assert main(["encode", str(run_folder), str(tmp_path / f"{images}.npy"), "-o", str(tmp_path / out)]) == 0
    every, single = (dict(np.load(tmp_path / f"{name}.npz")) for name in ("all", "one"))
    same({name: column[41:42] for name, column in every.items()}, single)
    frame = pandas.read_parquet(tmp_path / "all.parquet")
    assert frame.columns.tolist() == ["index", "mean1", "mean2", "scale1", "scale2", "elbo"]
    assert frame["index"].tolist() == list(range(60))
    assert np.array_equal(frame["scale2"], every["scale"][:, 1])
    assert np.array_equal(frame["elbo"], every["elbo"])
