"""Reconstructions: every number against another library or exact arithmetic, and images of any size."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from vaescope.data.images import ImageSet, Split
from vaescope.data.targets import TARGETS
from vaescope.families import CategoricalCodes, PointMass
from vaescope.metrics import principal_axes, psnr, squared_errors
from vaescope.metrics.embeddings import pixels
from vaescope.metrics.reconstruction import extremes, of_scales, reconstruction, similarities, span
from vaescope.metrics.score import Picture, Score
from vaescope.metrics.subject import QUICK, Subject
from vaescope.models import Flat, SemiSupervised
from vaescope.nets import MLP, ms_ssim, ssim
from vaescope.priors import UniformCodes

SMALL = MLP(width=16)


def pair(shape: tuple[int, ...], count: int = 3) -> tuple[Tensor, Tensor]:
    """Smooth images and noisy ones near them."""
    source = torch.Generator().manual_seed(0)
    x = torch.nn.functional.avg_pool2d(torch.rand(count, *shape, generator=source), 3, 1, 1)
    return x, (x + 0.1 * torch.randn(x.shape, generator=source)).clamp(0, 1)


def image_set(shape: tuple[int, int, int], counts: tuple[int, int, int] = (30, 12, 11), bits: int = 8) -> ImageSet:
    """Random images with labels of three classes."""
    source = np.random.default_rng(0)

    def split(count: int) -> Split:
        levels = source.integers(0, 2**bits, (count, *shape)).astype(np.uint8 if bits == 8 else np.uint16)
        return Split(torch.from_numpy(levels), torch.arange(count) % 3)

    return ImageSet("own", "Own", ("a", "b", "c"), *map(split, counts))


def found(subject: Subject) -> tuple[dict[str, Score], list[Picture]]:
    """The scores by name, and the pictures."""
    findings = list(reconstruction(subject))
    scores = {finding.name: finding for finding in findings if isinstance(finding, Score)}
    pictures = [finding for finding in findings if isinstance(finding, Picture)]
    assert len(scores) + len(pictures) == len(findings)
    for score in scores.values():
        assert score.each is not None
        assert score.value == pytest.approx(score.each.mean())
        assert len(score.title) <= 34
    return scores, pictures


# The numbers


def test_errors_and_their_decibels_by_hand() -> None:
    x = torch.zeros(3, 1, 2, 2)
    y = x + torch.tensor([0.1, 1, 0]).view(3, 1, 1, 1)
    errors = squared_errors(x, y)
    assert errors.tolist() == pytest.approx([0.01, 1, 0])
    assert psnr(errors).tolist() == pytest.approx([20, 0, 100], abs=1e-4)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 64, 64), (1, 11, 30)])
def test_similarity_is_that_of_scikit_image(shape: tuple[int, ...]) -> None:
    metrics = pytest.importorskip("skimage.metrics", reason="scikit-image is the judge here")
    x, y = pair(shape)
    expected = [
        metrics.structural_similarity(
            a, b, channel_axis=0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1.0
        )
        for a, b in zip(x.double().numpy(), y.double().numpy(), strict=True)
    ]
    assert ssim(x, y).tolist() == pytest.approx(expected, abs=1e-4)
    assert ssim(x.double(), y.double()).tolist() == pytest.approx(expected, abs=1e-12)
    noise = [metrics.peak_signal_noise_ratio(a, b, data_range=1.0) for a, b in zip(x.numpy(), y.numpy(), strict=True)]
    assert psnr(squared_errors(x, y)).tolist() == pytest.approx(noise, abs=1e-4)


@pytest.mark.parametrize("shape", [(1, 176, 176), (3, 192, 208)])
def test_similarity_at_five_scales_is_that_of_pytorch_msssim(shape: tuple[int, ...]) -> None:
    library = pytest.importorskip("pytorch_msssim", reason="pytorch-msssim is the judge here")
    x, y = pair(shape, 2)
    expected = library.ms_ssim(x, y, data_range=1.0, size_average=False)
    assert ms_ssim(x, y).tolist() == pytest.approx(expected.tolist(), abs=1e-4)


def test_scales_say_how_much_they_count() -> None:
    assert of_scales(5) == "5 scales with weights 0.0448, 0.2856, 0.3001, 0.2363, 0.1333"
    assert "2 scales (the first of five" in of_scales(2)
    weights = [float(word) for word in of_scales(2).split("weights ")[1].split(", ")]
    assert sum(weights) == pytest.approx(1.0001, abs=1e-4)


def test_the_best_and_the_worst_have_no_image_in_common() -> None:
    worst, best = extremes(torch.tensor([3.0, 1, 4, 1, 5]), count=10)
    assert (worst.tolist(), best.tolist()) == ([4, 2], [1, 3])
    assert span(torch.tensor([0.0631, 0.0442])) == "0.063–0.044"
    assert span(torch.tensor([0.0, 0.0])) == "0"


# The metric


@pytest.mark.parametrize(
    ("shape", "bits", "target"),
    [((1, 8, 8), 8, "grey"), ((3, 64, 64), 8, "grey"), ((1, 13, 24), 16, "grey"), ((1, 12, 12), 8, "binary")],
)
def test_images_of_any_size(shape: tuple[int, int, int], bits: int, target: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Flat(latent=1, network=SMALL)(shape).eval()
    subject = Subject(model, TARGETS[target](bits), image_set(shape, bits=bits), QUICK)  # type: ignore[index]
    scores, pictures = found(subject)
    names = {"mse", "mse_mean_image", "mse_pca", "psnr", "ssim"} | ({"ms_ssim"} if min(shape[1:]) > 20 else set())
    assert scores.keys() == names
    assert ("binary draw" in scores["mse"].protocol) == (target == "binary")
    assert f"{min(11, shape[1])} × {min(11, shape[2])} pixels" in scores["ssim"].protocol
    assert all(math.isfinite(score.value) for score in scores.values())
    errors = squared_errors(subject.greys("test"), subject.reconstructions)
    assert scores["mse"].each is not None
    assert torch.equal(torch.from_numpy(scores["mse"].each), errors.double())
    (picture,) = pictures
    picture.draw(tmp_path / "made.png", "run a · step 1")
    with Image.open(tmp_path / "made.png") as image:
        assert image.width <= 1600


def test_baselines_are_those_of_the_training_images(images: ImageSet) -> None:
    torch.manual_seed(0)
    subject = Subject(Flat(latent=5, network=SMALL)((1, 28, 28)).eval(), TARGETS["grey"](), images)
    scores, _ = found(subject)
    train, test = (subject.greys(name).flatten(1).double() for name in ("train", "test"))
    assert scores["mse_mean_image"].value == pytest.approx((test - train.mean(0)).square().mean().item(), abs=1e-6)
    _, _, axes = torch.linalg.svd(train - train.mean(0), full_matrices=False)
    made = train.mean(0) + (test - train.mean(0)) @ axes[:5].T @ axes[:5]
    assert scores["mse_pca"].value == pytest.approx((test - made.clamp(0, 1)).square().mean().item(), abs=1e-6)
    assert [name for name, score in scores.items() if score.of_data] == ["mse_mean_image", "mse_pca"]


def test_no_image_is_more_similar_than_to_itself() -> None:
    x = torch.rand(40, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    assert similarities(lambda x, y: ssim(x, y) + 1e-7, x, x).max() == 1


def test_constant_images_and_perfect_reconstructions_are_no_trouble(tmp_path: Path) -> None:
    torch.manual_seed(0)
    white = Split(torch.full((6, 1, 28, 28), 255, dtype=torch.uint8), torch.zeros(6, dtype=torch.int64))
    images = ImageSet("own", "Own", ("a",), white, white, white)
    model = Flat(latent=2, network=SMALL)((1, 28, 28)).eval()
    subject = Subject(model, TARGETS["grey"](), images)
    subject.reconstructions = subject.greys("test")  # type: ignore[misc]
    scores, (picture,) = found(subject)
    expected = {"mse": 0, "mse_mean_image": 0, "mse_pca": 0, "psnr": 100, "ssim": 1, "ms_ssim": 1}
    assert {name: score.value for name, score in scores.items()} == pytest.approx(expected, abs=1e-5)
    picture.draw(tmp_path / "made.png", "")


def test_one_test_image_has_no_best_and_worst() -> None:
    torch.manual_seed(0)
    subject = Subject(Flat(latent=2, network=SMALL)((1, 28, 28)), TARGETS["grey"](), image_set((1, 28, 28), (4, 2, 1)))
    scores, pictures = found(subject)
    assert pictures == []
    assert scores["mse"].error is None


@pytest.mark.parametrize("kind", ["point", "codes", "labels", "semi"])
def test_every_kind_of_model(kind: str) -> None:
    torch.manual_seed(0)
    kinds = {
        "point": Flat(latent=2, network=SMALL, posterior=PointMass),
        "codes": Flat(latent=2, network=SMALL, posterior=CategoricalCodes, prior=UniformCodes),
        "labels": Flat(latent=2, network=SMALL, labels=True),
        "semi": SemiSupervised(latent=2, network=SMALL, classifier=SMALL),
    }
    model = kinds[kind]((1, 28, 28), 3).eval()
    scores, _ = found(Subject(model, TARGETS["binary"](), image_set((1, 28, 28)), QUICK))
    assert ("label" in scores["mse"].protocol) == (kind in ("labels", "semi"))


@pytest.mark.parametrize("shape", [(1, 6, 7), (3, 30, 30)])
def test_principal_axes_are_those_of_the_singular_value_decomposition(shape: tuple[int, int, int]) -> None:
    rows = pixels(image_set(shape, (50, 1, 1)).train)
    x = rows.values.double()
    _, s, v = torch.linalg.svd(x - x.mean(0), full_matrices=False)
    axes = principal_axes(rows, 4)
    assert torch.allclose((axes.axes.double() * v[:4].T).sum(0).abs(), torch.ones(4).double(), atol=1e-3)
    assert torch.allclose(axes.variance.double(), s[:4].square() / 50, rtol=1e-4)
    every = principal_axes(rows, 10_000)
    assert torch.allclose(every.back(every(x.float())), x.float(), atol=1e-4)
