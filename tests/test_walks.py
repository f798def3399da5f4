"""Pictures of every kind of latent space: points that are in it, and titles that are true."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from vaescope.config import Config
from vaescope.data.dataset import ImageData
from vaescope.data.images import ImageSet
from vaescope.distributions import nearest
from vaescope.experiment import begin
from vaescope.families import CategoricalCodes, PointMass, PowerSpherical
from vaescope.figures import activity, curves, diagram, scatter, tiles
from vaescope.models import VAE, Flat, SemiSupervised
from vaescope.nets import MLP
from vaescope.objectives import M2, Objective, distortion
from vaescope.pictures import Figures, draw, training_curves, words
from vaescope.priors import HypersphericalUniform, NormalMixture, StandardNormal, UniformCodes
from vaescope.run import make_scene, validation_examples
from vaescope.training import Trainer
from vaescope.walks import landscape, paths


@pytest.mark.parametrize("dims", [2, 3, 5])
def test_all_points_are_on_the_sphere(dims: int) -> None:
    torch.manual_seed(0)
    p = HypersphericalUniform(dims)()
    start = p.sample()
    grid = landscape(p, list(range(dims)), 10)
    moved = paths(p, start, list(range(dims)), 11)
    for z in (grid.z, moved.z):
        assert torch.allclose(z.norm(dim=-1), torch.ones(z.shape[:-1]), atol=1e-5)
    for row in range(dims):
        assert torch.allclose(moved.z[row, :, row], moved.values[row], atol=1e-5)
        others = [i for i in range(dims) if i != row]
        cosine = torch.cosine_similarity(moved.z[row][:, others], start[others].expand(11, -1))
        assert torch.allclose(cosine, torch.ones(11), atol=1e-5)


@pytest.mark.parametrize("dims", [2, 3])
def test_the_tiles_of_a_sphere_are_equally_probable(dims: int) -> None:
    """Their mean and covariance are those of the uniform distribution, and angles are what the axis says."""
    grid = landscape(HypersphericalUniform(dims)(), list(range(dims)), 40)
    z = grid.z.reshape(-1, dims).double()
    assert torch.allclose(z.mean(0), torch.zeros(dims).double(), atol=1e-5)
    assert torch.allclose(z.T @ z / len(z), torch.eye(dims).double() / dims, atol=1e-3)
    angles = torch.atan2(grid.z[0, :, 1], grid.z[0, :, 0]) * 180 / math.pi
    assert torch.allclose(angles, grid.across, atol=0.1)
    assert len(grid.z) == (1 if dims == 2 else 40)


@pytest.mark.parametrize("codes", [2, 8, 50])
def test_all_points_are_codes(codes: int) -> None:
    p = UniformCodes(3, codes)()
    grid, moved = landscape(p, [2, 0, 1], 12), paths(p, torch.full((3,), -1.0), [0, 2], 11)
    for z, steps in ((grid.z, 12), (moved.z, 11)):
        assert torch.equal(nearest(p, z), z)
        assert z.shape[1] == min(steps, codes)
    assert grid.across.tolist() == sorted(set(grid.across.tolist()))
    assert "levels" in grid.names[0]
    assert "levels" in moved.through


def test_an_autoencoder_is_walked_through_by_its_codes() -> None:
    """Codes far from the prior are shown where they are."""
    codes = torch.randn(500, 4, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 2, 3, 4]) + 100
    p = StandardNormal(4)()
    grid, moved = landscape(p, [3, 1, 0, 2], 9, codes), paths(p, codes[0], [0, 3], 11, codes)
    assert torch.allclose(grid.across, codes[:, 1].quantile(torch.linspace(0.5 / 9, 1 - 0.5 / 9, 9)))
    assert torch.allclose(grid.z[..., 0], codes[:, 0].mean())
    assert torch.allclose(moved.values[1], codes[:, 3].quantile(torch.linspace(0.02, 0.98, 11)))
    assert "codes" in grid.names[0]
    assert "codes" in moved.through


@pytest.mark.parametrize("prior", [StandardNormal, NormalMixture])
@pytest.mark.parametrize("dims", [1, 2, 4])
def test_the_plane_is_that_of_the_first_two_at_quantiles_of_the_prior(prior: type, dims: int) -> None:
    torch.manual_seed(0)
    with torch.no_grad():
        p = prior(dims)()
        grid = landscape(p, list(reversed(range(dims))), 5)
    plane = sorted(list(reversed(range(dims)))[:2])
    assert grid.z.shape == (5 if dims > 1 else 1, 5, dims)
    assert torch.equal(grid.z[0, :, plane[0]], grid.across)
    draws = p.sample(torch.Size((200_000,)))[:, plane[0]]
    shares = (draws[:, None] < grid.across).double().mean(0)
    assert shares.tolist() == pytest.approx([0.1, 0.3, 0.5, 0.7, 0.9], abs=0.006)
    if dims > 1:
        assert torch.equal(grid.z[:, 0, plane[1]], grid.down)
        assert (grid.down.diff() < 0).all()
    assert bool(grid.rest) == (dims > 2)


class Autoencoder(Objective):
    """The distortion and the size of the codes."""

    takes_points = True

    def __str__(self) -> str:
        return "distortion + |z|²/2"

    def __call__(
        self, model: VAE, x: Tensor, context: Tensor | None = None, progress: float = 1.0
    ) -> dict[str, Tensor]:
        trace = model(x, context)
        d = distortion(trace, x).mean()
        return {"loss": d + trace.sites[0].z.square().sum(-1).mean() / 2, "distortion": d}


SMALL = MLP(width=16, encoder_blocks=1, decoder_blocks=1)
SPACES: dict[str, Config] = {
    name: Config(
        data=ImageData("sample"),
        model=model,
        figures=Figures(grid=4, samples=4),
        trainer=Trainer(batch_size=20),
        **more,
    )  # type: ignore[arg-type]
    for name, model, more in (
        ("plane", Flat(network=SMALL), {}),
        ("circle", Flat(network=SMALL, prior=HypersphericalUniform, posterior=PowerSpherical), {}),
        ("sphere", Flat(latent=4, network=SMALL, prior=HypersphericalUniform, posterior=PowerSpherical), {}),
        ("codes", Flat(latent=3, network=SMALL, prior=UniformCodes, posterior=CategoricalCodes), {}),
        ("points", Flat(latent=3, network=SMALL, posterior=PointMass), {"objective": Autoencoder()}),
        ("labels", Flat(network=SMALL, labels=True), {}),
        ("semi", SemiSupervised(network=SMALL, classifier=SMALL), {"objective": M2()}),
    )
}


@pytest.mark.parametrize("name", SPACES)
def test_every_picture_of_every_space_is_drawn_and_says_what_it_shows(
    name: str, images: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, said = SPACES[name], {}

    def spied(function: Callable[..., None], key: str) -> Callable[..., None]:
        def call(*given: object, **options: object) -> None:
            said[key] = options
            function(*given, **options)

        return call

    for module, functions in ((tiles, ("latent_space", "traversals")), (scatter, ("latent_representation",)),
                              (diagram, ("architecture",)), (curves, ("training_curves",)),
                              (activity, ("latent_activity",))):  # fmt: skip
        for function in functions:
            monkeypatch.setattr(module, function, spied(getattr(module, function), function))
    model = begin(config, images, torch.device("cpu")).model
    validation = validation_examples(model, config.data.target, images)
    scene = make_scene(config, tmp_path, model, images, validation, 1, 300.0)
    rated = name != "points"
    lines = [{"split": split, "step": step, "loss": 310.0, "distortion": 300.0, "rate": 10.0 if rated else None}
             for split in ("train", "validation") for step in (1, 2)]  # fmt: skip
    files = draw(scene, tmp_path, lines, {})
    assert all(path.stat().st_size for path in files)
    assert ("classes.png" in {path.name for path in files}) == (name in ("labels", "semi"))

    assert ("−ELBO" in said["training_curves"]["title"]) == rated
    assert (said["training_curves"]["floor"] is None) == (not rated)
    what = {"points": "Codes"}.get(name, "Posterior centres")
    assert said["latent_representation"]["title"].startswith(what)
    assert ("posterior" in said["latent_activity"]["unit"]) == (name in ("circle", "sphere"))
    through = {"circle": "angle", "sphere": "angle", "codes": "levels of the prior", "points": "quantiles of the codes"}
    assert through.get(name, "quantiles of the prior") in said["latent_space"]["names"][0]
    assert ("class T-shirt/top" in said["latent_space"]["title"]) == (name in ("labels", "semi"))
    assert said["architecture"]["point"] == (name == "points")
    assert said["architecture"]["classifier"] == (name == "semi")
    assert bool(said["architecture"]["labels"]) == (name in ("labels", "semi"))


@pytest.mark.parametrize(("d", "r", "loss", "panels"), [
    (300.0, 10.0, 310.0, ["bound", "distortion", "rate"]),
    (300.0, 10.0, 290.0, ["bound", "distortion", "rate", "loss"]),
    (300.0, math.nan, 300.0, ["distortion"]),
    (300.0, math.nan, 301.0, ["distortion", "loss"]),
])  # fmt: skip
def test_the_curves_are_those_that_there_are(
    d: float, r: float, loss: float, panels: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a warm-up lasts the loss may be another, so only its end counts."""
    drawn: list[str] = []
    panel = curves._panel
    monkeypatch.setattr(curves, "_panel", lambda *given, **more: drawn.append(given[3]) or panel(*given, **more))
    curve = curves.Curve(*np.array([[1, 2, 3], [200, 250, loss], [d] * 3, [r] * 3]))
    curves.training_curves(tmp_path / "a.png", curve, curve, title="t", footer="f")
    assert drawn == panels


def test_lines_without_a_loss_are_drawn(images: ImageSet, tmp_path: Path) -> None:
    config = SPACES["plane"]
    model = begin(config, images, torch.device("cpu")).model
    validation = validation_examples(model, config.data.target, images)
    scene = make_scene(config, tmp_path, model, images, validation, 1, 300.0)
    assert training_curves(scene, tmp_path, [{"split": "train", "step": 1, "distortion": 1.0, "rate": 2.0}]).exists()


@pytest.mark.parametrize(("name", "said"), {
    "DiagonalNormal": "Diagonal normal", "IWAE": "IWAE", "VAEGAN": "VAEGAN", "FactorVAE": "Factor VAE",
    "InverseAutoregressive": "Inverse autoregressive", "VonMisesFisher": "Von Mises Fisher", "Flat": "Flat",
    "LearnedGaussian": "Learned Gaussian", "BetaTCVAE": "Beta TCVAE", "M2": "M2", "MLP": "MLP",
}.items())  # fmt: skip
def test_names_of_classes_in_words(name: str, said: str) -> None:
    assert words(type(name, (), {})()) == said
