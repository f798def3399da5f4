"""How good samples are: distances of sets of points, and what the metric makes of models."""

import json
import math
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from data_helpers import refused
from PIL import Image
from test_grammar import LATENTS, LIKELIHOODS, flat
from torch import Tensor

from vaescope.cli import main
from vaescope.data.dataset import ImageData
from vaescope.data.examples import Examples
from vaescope.data.images import ImageSet, Split
from vaescope.data.targets import Binary
from vaescope.evaluation import load
from vaescope.metrics import authentic, frechet_distance, kernel_distance, manifolds
from vaescope.metrics.anomalies import anomalies
from vaescope.metrics.features import FeatureSet
from vaescope.metrics.neighbours import neighbours
from vaescope.metrics.probe import probe
from vaescope.metrics.resemblance import divided, frechet, jackknife_error, kernel_distances, nearest, radii
from vaescope.metrics.samples import FEWEST, authenticity, compared, samples
from vaescope.metrics.score import InapplicableError, Picture, Score
from vaescope.metrics.subject import Effort, Outliers, Subject
from vaescope.models import VAE, SemiSupervised
from vaescope.nets import MLP
from vaescope.run import Run

FEW = Effort("few", test=40, train=50, generated=50)


def points(seed: int, count: int = 60, width: int = 4) -> Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_frechet_of_two_normals_in_closed_form() -> None:
    a = torch.zeros(2).double(), torch.tensor([1.0, 4.0]).double().diag()
    b = torch.tensor([1.0, 0.0]).double(), torch.tensor([4.0, 1.0]).double().diag()
    assert frechet(a, b) == pytest.approx(3, abs=1e-12)
    assert frechet(a, a) == pytest.approx(0, abs=1e-12)


def test_frechet_agrees_with_the_matrix_square_root() -> None:
    sqrtm = pytest.importorskip("scipy.linalg", reason="scipy is not installed").sqrtm
    x, y = points(0) @ points(1, 4), points(2, 80)
    a, b = (np.cov(each.numpy().T) for each in (x, y))
    shift = (x.mean(0) - y.mean(0)).square().sum().item()
    assert frechet_distance(x, y) == pytest.approx(shift + np.trace(a + b - 2 * sqrtm(a @ b).real), rel=1e-9)


def test_frechet_laws() -> None:
    x, y, v = points(0), points(1, 50), torch.tensor([3.0, -1.0, 0.0, 2.0]).double()
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(x, x + v) == pytest.approx(14, rel=1e-9)
    assert frechet_distance(x, 3 * x - 2 * x.mean(0)) == pytest.approx(4 * x.var(0).sum().item(), rel=1e-9)
    assert frechet_distance(x, y) == pytest.approx(frechet_distance(y, x), rel=1e-9)
    assert frechet_distance(x, y) == pytest.approx(frechet_distance(x.flip(0), y), rel=1e-9)
    few = points(2, 3, 8)  # fewer points than features: covariances without full rank
    assert frechet_distance(few, few + 1) == pytest.approx(8, rel=1e-6)


def test_the_kernel_distance_is_its_definition_without_bias() -> None:
    x, y = points(0, 7), points(1, 5)

    def k(a: Tensor, b: Tensor) -> float:
        return float(a @ b / 4 + 1) ** 3

    def within(p: Tensor) -> float:
        return float(np.mean([k(a, b) for i, a in enumerate(p) for j, b in enumerate(p) if i != j]))

    between = np.mean([k(a, b) for a in x for b in y])
    assert kernel_distance(x, y) == pytest.approx(within(x) + within(y) - 2 * between, rel=1e-9)
    found = torch.stack([kernel_distances(points(k, 100), points(1000 + k, 100)) for k in range(60)]).flatten()
    assert abs(found.mean()) < 4 * found.std() / math.sqrt(len(found))  # sets from one source
    assert (kernel_distances(points(0, 400), points(1, 400) + 2) > 1).all()


def test_an_error_by_the_jackknife_is_that_of_a_mean() -> None:
    x = points(0, 50, 1)
    groups = torch.stack([part.mean() for part in divided(x, 10)])
    error = jackknife_error(lambda a, b: float(a.mean() - b.mean()), x, torch.zeros(50, 1))
    assert error == pytest.approx(float(groups.std()) / math.sqrt(10), rel=1e-9)


def test_parts_mix_what_lies_in_the_order_of_classes() -> None:
    classes = torch.arange(10).repeat(30)[:, None].double()
    for given in (classes, classes.sort(0).values):
        parts = divided(given, 10)
        assert torch.cat(parts).sort(0).values.equal(classes.sort(0).values)
        assert all(len(part.unique()) > 5 for part in parts)


def brute(real: np.ndarray, made: np.ndarray, k: int) -> tuple[list[float], ...]:
    """Precision, recall, density and coverage point by point, from their definitions."""

    def reach(of: np.ndarray) -> list[float]:
        return [sorted(np.linalg.norm(of - p, axis=1))[k] for p in of]

    reals, mades = reach(real), reach(made)
    inside = [[np.linalg.norm(x - y) < reals[i] for y in made] for i, x in enumerate(real)]
    recall = [any(np.linalg.norm(x - y) < mades[j] for j, y in enumerate(made)) for x in real]
    columns = list(zip(*inside, strict=True))
    return [any(c) for c in columns], recall, [sum(c) / k for c in columns], [any(row) for row in inside]


def test_precision_recall_density_and_coverage_are_their_definitions() -> None:
    real, made = points(0, 30, 3), points(1, 25, 3) * 1.5 + 0.3
    found = manifolds(real, made, 3)
    wanted = brute(real.numpy(), made.numpy(), 3)
    for each, known in zip((found.precision, found.recall, found.density, found.coverage), wanted, strict=True):
        torch.testing.assert_close(each, torch.tensor(known).double())


def test_they_agree_with_their_authors_code() -> None:
    prdc = pytest.importorskip("prdc", reason="prdc is not installed")
    real, made = points(0, 300, 8), points(1, 200, 8) * 0.8
    found, known = manifolds(real, made, 5), prdc.compute_prdc(real.numpy(), made.numpy(), 5)
    for name in ("precision", "recall", "density", "coverage"):
        assert getattr(found, name).mean().item() == pytest.approx(known[name], abs=1e-12)


def test_equal_sets_and_sets_apart() -> None:
    x = points(0, 40)
    same, apart = manifolds(x, x.flip(0)), manifolds(x, x + 100)
    for name in ("precision", "recall", "coverage"):
        assert getattr(same, name).mean() == 1
        assert getattr(apart, name).mean() == 0
    assert apart.density.sum() == 0


def test_nearest_and_radii() -> None:
    line = torch.tensor([[0.0], [1.0], [3.0], [7.0]])
    distances, found = nearest(torch.tensor([[2.9], [-1.0]]), line, 2)
    assert found.tolist() == [[2, 1], [0, 1]]
    torch.testing.assert_close(distances, torch.tensor([[0.1, 1.9], [1.0, 2.0]]))
    assert radii(line, 1).tolist() == [1, 1, 2, 4]


def test_copies_are_not_authentic() -> None:
    line = torch.tensor([[0.0], [1.0], [3.0], [7.0]])
    assert authentic(line, line).tolist() == [0, 0, 0, 0]
    asked = torch.tensor([[0.4], [-2.0], [5.2], [4.9]])  # 7 is 4 from its nearest other, 3 is 2 from it, 0 is 1
    assert authentic(asked, line).tolist() == [0, 1, 0, 0]
    doubles = torch.tensor([[0.0], [0.0], [5.0]])
    assert authentic(torch.tensor([[0.0], [0.1]]), doubles).tolist() == [1, 1]  # 0 is its own copy's equal


def test_memorising_is_told() -> None:
    training, test = points(0, 300, 2).float(), points(1, 200, 2).float()
    copies, fresh = training[:200] + 1e-4, points(2, 200, 2).float()
    told = {name: list(authenticity(test, made, training, "x")) for name, made in (("copied", copies), ("new", fresh))}
    copied, new = (told[name][0] for name in ("copied", "new"))
    assert copied.value < 0.05
    assert "nearer to training images than new images are" in copied.warning
    assert not new.warning
    baseline = told["new"][1]
    assert baseline.of_data
    assert abs(new.value - baseline.value) < 4 * math.hypot(new.error or 0, baseline.error or 0)


def test_fid_is_a_name_for_inception_alone() -> None:
    x, y = points(0), points(1)
    assert [s.title for s in compared(x, y, "p", inception=True)][:2] == ["FID", "KID"]
    assert [s.title for s in compared(x, y, "p")][:2] == ["Fréchet distance", "kernel distance"]


def subject(model: VAE, images: ImageSet, targets: str = "binary", effort: Effort = FEW, **more: Any) -> Subject:
    data = ImageData("sample", targets=targets)  # type: ignore[arg-type]
    return Subject(model.eval(), data.target, images, effort, seed=3, **more)


def findings(of: Subject) -> tuple[dict[str, Score], list[Picture]]:
    found = list(samples(of))
    scores = [each for each in found if isinstance(each, Score)]
    return {score.name: score for score in scores}, [each for each in found if isinstance(each, Picture)]


def check(scores: dict[str, Score]) -> None:
    """What must hold for whatever model."""
    for score in scores.values():
        assert math.isfinite(score.value), score.name
        assert score.ends() is not None or (score.name.endswith("aupr") and score.value == 1), score.name
        assert len(score.title) <= 34
        assert score.each is None or len(score.each) == score.count


def test_the_scores_of_a_model_stand_beside_those_of_the_data(images: ImageSet, tiny: Callable[..., VAE]) -> None:
    scores, [picture] = findings(subject(tiny(), images))
    check(scores)
    names = ("frechet", "kernel", "precision", "recall", "density", "coverage")
    for name in names:
        model, data = scores[name], scores[f"train_{name}"]
        assert "50 generated images" in model.protocol
        assert "50 training images in place of generated ones" in data.protocol
        assert "against 40 test images, features fashion-mnist-classifier-" in model.protocol
        assert (model.of_data, data.of_data) == (False, True)
    assert scores["train_frechet"].value < scores["frechet"].value / 2  # an untrained model is far away
    assert scores["coverage"].count == 40
    assert scores["precision"].count == 50
    assert picture.name == "nearest_training_images"


def test_what_is_drawn_is_decided_by_the_seed(images: ImageSet, tiny: Callable[..., VAE]) -> None:
    first, again = (findings(subject(tiny(), images))[0] for _ in range(2))
    assert [score.record() for score in first.values()] == [score.record() for score in again.values()]


def test_a_model_that_gives_the_data_scores_as_the_data(images: ImageSet, tiny: Callable[..., VAE]) -> None:
    class Perfect(Subject):
        def generated(self, count: int, part: int = 0) -> Tensor:
            return self.greys("train")[:count]

    of = subject(tiny(), images, effort=Effort("all", generated=200))
    perfect = Perfect(of.model, of.target, of.images, of.effort)
    scores, _ = findings(perfect)
    assert scores["frechet"].value == pytest.approx(scores["train_frechet"].value, rel=1e-6)  # of the same 200 images
    for name in ("kernel", "train_kernel"):
        assert abs(scores[name].value) < 4 * (scores[name].error or 0)
    assert scores["authenticity"].value == 0


def test_the_picture_shows_each_sample_over_images_like_it(
    images: ImageSet, tiny: Callable[..., VAE], tmp_path: Path
) -> None:
    _, [picture] = findings(subject(tiny(), images))
    picture.draw(tmp_path / "p.png", "run x · step 1")
    with Image.open(tmp_path / "p.png") as drawn:
        assert drawn.mode == "RGB"
        assert 400 < drawn.width <= 1600
    assert "50 generated images" in picture.caption


def test_a_model_that_guesses_labels_is_measured_where_few_are_known(images: ImageSet) -> None:
    train = images.train
    assert train.labels is not None
    few = replace(train, labels=torch.where(torch.arange(len(train)) % 3 == 0, train.labels, -1))
    model = SemiSupervised(3, MLP(16), classifier=MLP(8))(images.shape, len(images.classes)).eval()
    subject = Subject(model, Binary(), replace(images, train=few), FEW)
    for metric in (probe, neighbours, samples):
        found = [score for score in metric(subject) if isinstance(score, Score)]
        assert all(math.isfinite(score.value) for score in found)
        assert metric is samples or all("17 training images whose labels are known" in s.protocol for s in found[1:])
    assert subject.generated(5).equal(subject.generated(5))


def test_few_images_are_too_few(images: ImageSet, tiny: Callable[..., VAE]) -> None:
    with pytest.raises(InapplicableError, match=f"fewer than {FEWEST}"):
        list(samples(subject(tiny(), images, effort=Effort("few", test=FEWEST - 1, generated=50))))


def test_the_features_that_are_given_are_used(images: ImageSet, tiny: Callable[..., VAE]) -> None:
    means = FeatureSet("inception-v3-0a1b2c3d", 2, "", lambda x: torch.stack([x.mean((1, 2, 3)), x.std((1, 2, 3))], 1))
    scores, [picture] = findings(subject(tiny(), images, features=means))
    assert scores["frechet"].title == "FID"
    assert "features inception-v3-0a1b2c3d (2 numbers)" in scores["frechet"].protocol
    assert "inception-v3-0a1b2c3d" in picture.caption


def models() -> Iterator[Any]:
    """A model for every kind of latents, of likelihoods and of labels."""
    for posterior, prior in LATENTS:
        yield pytest.param(lambda q=posterior, p=prior: flat(q, p), "binary", id=f"{posterior}-{prior}")
    for likelihood, targets in LIKELIHOODS.items():
        made = lambda x=likelihood: flat("DiagonalNormal", "StandardNormal", x)  # noqa: E731
        yield pytest.param(made, targets, id=likelihood)
    labelled = lambda: flat("DiagonalNormal", "StandardNormal", labels=True)  # noqa: E731
    yield pytest.param(labelled, "binary", id="labels")
    yield pytest.param(lambda: SemiSupervised(2, MLP(width=16), classifier=MLP(width=16)), "binary", id="semi")


@pytest.mark.parametrize(("make", "targets"), list(models()))
def test_every_model_is_measured(make: Callable[[], Any], targets: str, images: ImageSet) -> None:
    torch.manual_seed(0)
    made = make()((1, 28, 28), 10)
    noise = torch.randint(0, 256, (30, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    of = subject(made, images, targets)
    of.outliers = Outliers("noise", noise, of.target.alone(noise))
    check(findings(of)[0])
    if made.classes and not hasattr(made, "classifier"):
        with pytest.raises(InapplicableError, match="conditioned on labels"):
            list(anomalies(of))
        return
    scores = {score.name: score for score in anomalies(of)}
    check(scores)
    assert len(scores) == 10


def test_colours_without_labels_are_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vaescope.metrics.features.STEPS", 8)
    monkeypatch.setenv("VAESCOPE_CACHE", str(tmp_path))
    source = torch.Generator().manual_seed(0)
    splits = [Split(torch.randint(0, 256, (n, 3, 9, 12), dtype=torch.uint8, generator=source)) for n in (40, 5, 25)]
    images = ImageSet("images", "noise", (), *splits)
    torch.manual_seed(0)
    of = subject(flat("DiagonalNormal", "StandardNormal", "DiscretisedLogistic")((3, 9, 12), 0), images, "grey")
    scores, [picture] = findings(of)
    check(scores)
    assert "features images-rotations-" in scores["frechet"].protocol
    picture.draw(tmp_path / "p.png", "run x")


def test_evaluate_measures_samples(run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    shutil.copytree(run_folder, folder)
    assert main(["evaluate", str(folder), "--quick", "--metrics", "samples"]) == 0
    assert "Fréchet distance, training images" in capsys.readouterr().out
    record = json.loads((folder / "evaluation.json").read_text())["metrics"]["samples"]
    assert record["group"] == "Samples"
    assert list(record["pictures"]) == ["nearest_training_images"]
    assert (folder / "figures" / "nearest_training_images.png").exists()
    found = load(folder).find("samples.recall")
    assert found is not None
    assert found.each is not None
    assert len(found.each) == found.count
    assert "give a name and an ONNX file" in refused(main_raising, ["evaluate", str(folder), "--features", "x"])


def main_raising(words: list[str]) -> None:
    from vaescope.cli.evaluate import evaluate

    evaluate(words[1:])


def test_a_run_has_the_same_scores_from_python(run_folder: Path, images: ImageSet) -> None:
    run = Run.load(run_folder)
    scores, _ = findings(Subject(run.model, run.target, images, FEW))
    assert isinstance(Subject(run.model, run.target, images, FEW).test, Examples)
    check(scores)
