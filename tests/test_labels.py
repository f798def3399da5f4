"""Labels: as a condition, as a latent variable that is sometimes observed, and on the command line."""

import json
import math
import shutil
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import TINY
from test_cli import OF_LABELS, PICTURES, refused
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, one_hot

from vaescope.cli import main
from vaescope.data.dataset import ImageData, hide
from vaescope.data.examples import Examples
from vaescope.data.idx import write_idx
from vaescope.data.images import ImageSet
from vaescope.encoding import rows
from vaescope.errors import UsageError
from vaescope.families import OptimalGaussian
from vaescope.figures import tiles
from vaescope.metrics import accuracy
from vaescope.models import VAE, Flat, SemiSupervised, SemiVAE, centre, draw, given
from vaescope.nets import MLP
from vaescope.objectives import ELBO, M2, Objective, distortion, log_weight, rate, rates
from vaescope.run import Run

SMALL = MLP(width=8, encoder_blocks=0, decoder_blocks=0)
CLASSES = 3


@pytest.fixture
def semi() -> SemiVAE:
    """A model of images with four binary pixels in three classes, with one latent, in double precision."""
    torch.manual_seed(0)
    made = SemiSupervised(latent=1, network=SMALL, classifier=SMALL)((1, 2, 2), CLASSES).double()
    with torch.no_grad():
        for p in made.parameters():
            p.mul_(3)  # far from uniform
    return made


def every_image() -> Tensor:
    """All images, with shape (16, 1, 2, 2)."""
    return torch.tensor(list(product([0.0, 1.0], repeat=4))).double().view(16, 1, 2, 2)


def every_label(count: int) -> Tensor:
    """Every label for ``count`` images, one-hot, with shape (K, count, K)."""
    return torch.eye(CLASSES).double()[:, None].expand(-1, count, -1)


def log_joint(model: SemiVAE) -> Tensor:
    """log p(x, y) of all images and labels by quadrature over z, with shape (K, 16)."""
    z = torch.linspace(-9, 9, 2001).double()[:, None, None]  # (2001, 1, 1)
    x, found = every_image(), []
    for y in torch.eye(CLASSES).double():
        logits = model.likelihood.net(torch.cat((z, y.expand(len(z), 1, -1)), -1)) + model.likelihood.offset
        score = -binary_cross_entropy_with_logits(logits.expand(-1, 16, 1, 2, 2), x.expand(len(z), -1, -1, -1, -1),
                                                  reduction="none").sum((2, 3, 4))  # fmt: skip
        prior = -0.5 * z[..., 0].square() - 0.5 * math.log(2 * math.pi)
        found.append((score + prior).logsumexp(0) + math.log(18 / 2000) - math.log(CLASSES))
    return torch.stack(found)


def by_hand(model: SemiVAE, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Distortion and rate of z for every label, each with shape (K, B), and log q(y|x) with shape (K, B)."""
    noise = torch.normal(torch.zeros(CLASSES, len(x), 1).double(), torch.ones(CLASSES, len(x), 1).double())
    d, r = [], []
    for y, e in zip(every_label(len(x)), noise, strict=True):
        q = model.posterior(x, y)
        m, s = q.mean, q.stddev
        logits = model.likelihood.net(torch.cat((m + s * e, y), -1)) + model.likelihood.offset
        d.append(binary_cross_entropy_with_logits(logits, x, reduction="none").sum((1, 2, 3)))
        r.append((0.5 * (m.square() + s.square() - 1) - s.log()).sum(-1))
    return torch.stack(d), torch.stack(r), model.classifier.net(x).log_softmax(-1).T


@pytest.mark.parametrize("labels", [[-1] * 16, [0, 1, 2, 2] * 4, [0, -1, 2, -1] * 4, None])
@pytest.mark.parametrize("beta", [1.0, 0.3])
def test_the_bound_is_the_sum_over_labels(semi: SemiVAE, labels: list[int] | None, beta: float) -> None:
    x = every_image()
    context = None if labels is None else semi.context(torch.tensor(labels))
    torch.manual_seed(1)
    terms = M2(alpha=7.0, beta=beta)(semi, x, context)
    torch.manual_seed(1)
    d, r, log_q = by_hand(semi, x)
    losses = []
    for i, label in enumerate(labels or [-1] * 16):
        q = log_q[:, i].exp()
        if label < 0:
            whole = (q * d[:, i]).sum() + beta * ((q * r[:, i]).sum() + (q * (log_q[:, i] + math.log(CLASSES))).sum())
        else:
            whole = d[label, i] + beta * (r[label, i] + math.log(CLASSES)) - 7.0 * log_q[label, i]
        losses.append(whole)
    assert terms["loss"].item() == pytest.approx(torch.stack(losses).mean().item(), rel=1e-6)
    split = terms["distortion"] + beta * terms["rate"] + 7.0 * terms["label_loss"]
    assert terms["loss"].item() == pytest.approx(split.item(), rel=1e-9)


def test_a_trace_with_labels_is_the_labelled_bound_and_without_them_the_sum(semi: SemiVAE) -> None:
    """The pass of everyone else, which draws labels, agrees with the exact sum."""
    x, labels = every_image(), torch.arange(16) % CLASSES
    context = semi.context(labels)
    torch.manual_seed(0)
    for known in (context, None):
        trace = semi(x, known, draw(20_000))
        drawn = distortion(trace, x) + rate(trace)
        exact = torch.stack([M2(alpha=0.0)(semi, x, known)["loss"] for _ in range(300)])
        error = (drawn.mean(1).std() / len(drawn) ** 0.5 + exact.std() / len(exact) ** 0.5).item()
        assert drawn.mean().item() == pytest.approx(exact.mean().item(), abs=5 * error)


def test_a_known_label_is_taken_and_costs_log_k(semi: SemiVAE) -> None:
    x, labels = every_image(), torch.tensor([0, -1, 1, 2] * 4)
    trace = semi(x, semi.context(labels), draw(50))
    seen = labels >= 0
    assert (trace.sites[0].z.argmax(-1) == labels)[:, seen].all()
    assert rates(trace)[0][seen].tolist() == pytest.approx([math.log(CLASSES)] * 12, abs=1e-9)
    assert (rates(trace)[0][~seen] < math.log(CLASSES)).all()
    assert trace.sites[1].z.shape == (50, 16, 1)


def test_bounds_are_below_the_likelihood_and_weights_average_to_it(semi: SemiVAE) -> None:
    x, joint = every_image(), log_joint(semi)  # (K, 16)
    assert joint.exp().sum().item() == pytest.approx(1, abs=1e-6)
    torch.manual_seed(0)
    labels = torch.arange(16) % CLASSES
    for context, exact in ((None, joint.logsumexp(0)), (semi.context(labels), joint[labels, torch.arange(16)])):
        with torch.no_grad():
            trace = semi(x, context, draw(20_000))
            w, bound = log_weight(trace, x), -distortion(trace, x) - rate(trace)
        assert (bound.mean(0) - 5 * bound.std(0) / len(bound) ** 0.5 < exact).all()
        assert bound.mean() < exact.mean() - 0.01
        estimate = w.logsumexp(0) - math.log(len(w))
        error = (w - estimate).exp().std(0) / len(w) ** 0.5
        assert ((estimate - exact).abs() < 5 * error + 1e-3).all()


@pytest.mark.parametrize(("known", "alpha", "learns"), [(False, 0.0, True), (True, 1.0, True), (True, 0.0, False)])
def test_the_classifier_learns_from_both_kinds_of_images(
    semi: SemiVAE, known: bool, alpha: float, learns: bool
) -> None:
    """Of images with a label only by the classification loss, of the others by the bound."""
    x = every_image()
    M2(alpha=alpha)(semi, x, semi.context(torch.arange(16) % CLASSES) if known else None)["loss"].backward()
    for name, parameter in semi.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    assert (max(p.grad.abs().max().item() for p in semi.classifier.parameters()) > 0) == learns  # type: ignore[union-attr]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_certain_classifier_has_finite_terms_and_gradients(semi: SemiVAE, dtype: torch.dtype) -> None:
    model, x = semi.to(dtype), every_image().to(dtype)
    with torch.no_grad():
        list(model.classifier.parameters())[-1].copy_(torch.tensor([1e4, 0.0, -1e4]))
    terms = M2()(model, x, model.context(torch.tensor([0, -1, 2, 1] * 4)))
    terms["loss"].backward()
    assert all(value.isfinite() for value in terms.values())
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


def test_the_centre_of_labels_is_the_most_probable_one(semi: SemiVAE) -> None:
    x = every_image()
    best = semi.classifier.net(x).argmax(-1)
    assert (semi(x, None, centre()).sites[0].z == one_hot(best, CLASSES)).all()
    assert torch.equal(semi.infer(x).mean, semi.posterior(x, one_hot(best, CLASSES).double()).mean)
    labels = torch.arange(16) % CLASSES
    assert torch.equal(semi.infer(x, semi.context(labels)).mean, semi.infer(x, one_hot(labels, CLASSES)).mean)
    assert accuracy(semi, Examples(x), best) == 1
    assert accuracy(semi, Examples(x), (best + 1) % CLASSES) == 0
    terms = M2()(semi, x, semi.context(torch.where(torch.arange(16) < 4, best, (best + 1) % CLASSES)))
    assert terms["accuracy"].item() == pytest.approx(0.25)


def test_without_images_labels_and_latents_come_from_their_priors(semi: SemiVAE) -> None:
    torch.manual_seed(0)
    trace = semi(pick=draw(9000))
    assert trace.likelihood.mean.shape == (9000, 1, 2, 2)
    assert trace.sites[0].z.mean(0).tolist() == pytest.approx([1 / CLASSES] * CLASSES, abs=5 * (2 / 9 / 9000) ** 0.5)
    assert trace.sites[1].z.std().item() == pytest.approx(1, abs=0.05)
    y = semi.context(torch.tensor([2, 0]))
    assert torch.equal(semi(None, y, given(None, torch.zeros(2, 1).double())).likelihood.mean,
                       semi.likelihood(torch.zeros(2, 1).double(), y).mean)  # fmt: skip


class Other(Objective):
    """An objective of no consequence."""

    def __call__(
        self, model: VAE, x: Tensor, context: Tensor | None = None, progress: float = 1.0
    ) -> dict[str, Tensor]:
        return {"loss": x.sum()}


def test_what_does_not_go_together_is_refused_with_the_remedy(semi: SemiVAE) -> None:
    flat = Flat(network=SMALL, labels=True)((1, 2, 2), CLASSES)
    guessed = SemiSupervised(likelihood=OptimalGaussian)((1, 2, 2), CLASSES)  # the best scale of all labels is of none
    for attempt, words in (
        (lambda: M2().check(flat), "set the model to SemiSupervised"),
        (lambda: ELBO().check(semi), "use the objective M2"),
        (lambda: Other().check(semi), "use the objective M2"),
        (lambda: SemiSupervised()((1, 2, 2), 0), "no labels"),
        (lambda: SemiSupervised(latent=0), "at least 1"),
        (lambda: flat.context(torch.tensor([0, -1, -1])), "2 of 3 are not known"),
        (lambda: M2().check(guessed), "use the likelihood Gaussian"),
        (lambda: M2(alpha=-1.0), "at least 0"),
        (lambda: M2(beta=math.nan), "at least 0"),
        (lambda: ImageData(labelled=0.0), "above 0"),
        (lambda: ImageData(labelled=1.1), "at most 1"),
    ):
        with pytest.raises(UsageError, match=words) as caught:
            attempt()
        assert "\n" not in str(caught.value)
    M2().check(semi)


@pytest.mark.parametrize(("share", "each"), [(0.1, 2), (0.25, 5), (0.001, 1), (0.9, 18)])
def test_equally_many_labels_of_every_class_stay(images: ImageSet, share: float, each: int) -> None:
    labels = images.train.labels
    assert labels is not None
    left = hide(labels, share, 10)
    assert [int((left == k).sum()) for k in range(10)] == [min(each, int((labels == k).sum())) for k in range(10)]
    assert (left[left >= 0] == labels[left >= 0]).all()
    loaded = ImageData("sample", labelled=share).load()
    assert torch.equal(loaded.train.labels, left)  # type: ignore[arg-type]
    for name in ("validation", "test"):
        assert torch.equal(loaded.splits[name].labels, images.splits[name].labels)  # type: ignore[arg-type]


def own_set(folder: Path, hidden: int = 0, labels: bool = True) -> Path:
    """A set of one's own in two classes, of whose training labels all but the first eight are shifted by ``hidden``."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    for part, count in (("train", 60), ("t10k", 20)):
        write_idx(folder / f"{part}-images-idx3-ubyte", rng.integers(0, 256, (count, 6, 6), dtype=np.uint8))
        numbers = np.arange(count) % 2
        if part == "train":
            numbers[8:50] = (numbers[8:50] + hidden) % 2  # the last sixth is for validation
        if labels:
            write_idx(folder / f"{part}-labels-idx1-ubyte", numbers.astype(np.uint8))
    return folder


SEMI = ["--model", "SemiSupervised", "--model.network", "MLP", "--model.network.width", "16",
        "--model.classifier.width", "16", "--objective", "M2"]  # fmt: skip


@pytest.mark.usefixtures("undrawn")
def test_hidden_labels_are_never_seen(tmp_path: Path) -> None:
    words = [*SEMI, "--data.labelled", "0.16", "--trainer.batch_size", "10", "--trainer.epochs", "2"]
    weights = []
    for hidden in (0, 1):
        folder = own_set(tmp_path / f"set{hidden}", hidden)
        run = tmp_path / f"run{hidden}"
        assert (
            main(
                [
                    "train",
                    "--data",
                    str(folder),
                    *words,
                    "--figures.frames",
                    "0",
                    "--figures.explorer",
                    "false",
                    "--out",
                    str(run),
                ]
            )
            == 0
        )
        weights.append((run / "model.safetensors").read_bytes())
    assert weights[0] == weights[1]


def test_labels_where_there_are_none_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "--data", str(own_set(tmp_path / "set", labels=False)), "--out", str(tmp_path / "r")]
    assert "no labels" in refused(capsys, *words, "--model.labels", "true")
    assert "no labels" in refused(capsys, *words, *SEMI)
    assert "no labels" in refused(capsys, *words, "--data.labelled", "0.5")
    assert "SemiSupervised" in refused(
        capsys, "train", *TINY, "--model.labels", "true", "--data.labelled", "0.5", "--out", str(tmp_path / "r")
    )
    unused = refused(capsys, "train", *TINY, "--data.labelled", "0.5", "--out", str(tmp_path / "r"))
    assert "looks at no labels" in unused


def test_labels_that_the_test_images_do_not_have_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = own_set(tmp_path / "set")
    (folder / "t10k-labels-idx1-ubyte").unlink()
    words = ["train", "--data", str(folder), "--trainer.batch_size", "10", "--out", str(tmp_path / "r")]
    for chosen in (["--model.labels", "true"], SEMI):
        assert "no labels" in refused(capsys, *words, *chosen)
        assert not (tmp_path / "r").exists()
    assert not (tmp_path / "r").exists()


@pytest.fixture(scope="module")
def labelled_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run of a model that is conditioned on labels."""
    folder = tmp_path_factory.mktemp("runs") / "labelled"
    words = ["--model.labels", "true", "--trainer.epochs", "3", "--trainer.checkpoint_every", "10"]
    assert main(["train", *TINY, *words, "--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def semi_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run of a model that classifies."""
    folder = tmp_path_factory.mktemp("runs") / "semi"
    words = [*SEMI, "--data.labelled", "0.3", "--trainer.epochs", "3"]
    tiny = [word for word in TINY if word not in ("--model.network.width", "32")]
    assert main(["train", *tiny, *words, "--out", str(folder)]) == 0
    return folder


def test_a_model_with_labels_has_a_picture_more(labelled_run: Path, semi_run: Path) -> None:
    for folder in (labelled_run, semi_run):
        assert {path.name for path in (folder / "figures").iterdir()} == PICTURES | OF_LABELS


def test_the_picture_of_classes_has_one_row_a_class_and_one_draw_a_column(
    labelled_run: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shown: dict[str, object] = {}
    monkeypatch.setattr(tiles, "classes", lambda path, images, names, **_: shown.update(images=images, names=names))
    drawn: list[Tensor] = []
    run = Run.load(labelled_run)
    decoder = run.model.likelihood.forward
    monkeypatch.setattr(run.model.likelihood, "forward", lambda z, y: drawn.append(z) or decoder(z, y))
    from vaescope.pictures import classes
    from vaescope.run import make_scene, validation_examples

    images = run.config.data.load()
    validation = validation_examples(run.model, run.config.data.target, images)
    classes(make_scene(run.config, labelled_run, run.model, images, validation, 1, 0.0), tmp_path)
    pictures = shown["images"]
    assert isinstance(pictures, np.ndarray)
    assert pictures.shape == (10, 10, 1, 28, 28)
    assert shown["names"] == list(run.classes)
    assert len(drawn) == 10
    assert all(torch.equal(z, drawn[0]) for z in drawn)
    assert len({row.tobytes() for row in pictures}) == 10


@pytest.mark.usefixtures("undrawn")
def test_resuming_a_run_with_labels_gives_the_same_weights(labelled_run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(labelled_run, copy)
    (copy / "model.safetensors").unlink()
    for path in (copy / "checkpoints").iterdir():
        if path.name != "step-000010":
            shutil.rmtree(path)
    assert main(["train", "--resume", str(copy)]) == 0
    assert (copy / "model.safetensors").read_bytes() == (labelled_run / "model.safetensors").read_bytes()


def drawn(run: Path, out: Path, *words: str) -> np.ndarray:
    """What ``sample`` draws."""
    assert main(["sample", str(run), "-n", "5", "-o", str(out), *words]) == 0
    images: np.ndarray = np.load(out)["images"]
    return images


def test_samples_of_a_class(labelled_run: Path, semi_run: Path, tmp_path: Path) -> None:
    for run in (labelled_run, semi_run):
        by_name, by_number, other, all_ = (
            drawn(run, tmp_path / "a.npz", *words)
            for words in (("--label", "sNEAKER"), ("--label", "7"), ("--label", "Bag"), ())
        )
        assert (by_name == by_number).all()
        assert (by_name != other).any()
        assert (all_[0] == drawn(run, tmp_path / "a.npz", "--label", "0")[0]).all()
        assert (all_[4] == drawn(run, tmp_path / "a.npz", "--label", "coat")[4]).all()
    assert main(["sample", str(labelled_run), "--label", "Sneaker", "-o", str(tmp_path / "a.png")]) == 0


def test_labels_on_the_command_line_that_make_no_sense(
    run_folder: Path, labelled_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "own.npy"
    np.save(own, np.zeros((3, 28, 28), np.uint8))
    run, out = str(labelled_run), str(tmp_path / "o.npz")
    for words, expected in {
        ("sample", run, "--label", "snaeker"): "did you mean Sneaker?",
        ("sample", run, "--label", "10"): "there is no class 10",
        ("sample", run, "--label", "-1"): "there is no class -1",
        ("sample", run, "--label", "zzz"): "give one of T-shirt/top, Trouser",
        ("sample", str(run_folder), "--label", "Sneaker"): "set model.labels true",
        ("reconstruct", run, str(own)): "--label",
        ("encode", run, str(own), "-o", out): "one of T-shirt/top",
        ("encode", run, str(own), "-o", out, "--label", "Baag"): "did you mean Bag?",
        ("encode", run, "-o", out, "--label", "Bag"): "have their labels already",
        ("encode", str(run_folder), str(own), "-o", out, "--label", "Bag"): "set model.labels true",
    }.items():
        assert expected in refused(capsys, *words), words
    assert main(["reconstruct", run, str(own), "--label", "bag", "-o", str(tmp_path / "p.png")]) == 0
    assert main(["encode", run, str(own), "--label", "8", "-o", out]) == 0
    table = dict(np.load(out))
    assert set(table) == {"mean", "scale", "elbo", "label", "class"}
    assert (table["label"] == 8).all()


def test_a_model_that_classifies_is_scored_and_encodes(semi_run: Path, tmp_path: Path) -> None:
    lines = [json.loads(line) for line in (semi_run / "metrics.jsonl").read_text().splitlines()]
    assert all(0 <= line["accuracy"] <= 1 for line in lines)
    assert all(line["labelled"] == 1 for line in lines if line["split"] == "validation")
    seen = [line["labelled"] for line in lines if line["split"] == "train"]
    assert np.mean(seen) == pytest.approx(0.3, abs=0.1)
    assert "% of labels found" in (semi_run / "README.md").read_text()
    assert main(["encode", str(semi_run), "-o", str(tmp_path / "a.npz")]) == 0
    table = dict(np.load(tmp_path / "a.npz"))
    assert (table["label"] == table["predicted"]).mean() == pytest.approx(lines[-1]["accuracy"])
    assert table["elbo"].mean() == pytest.approx(-lines[-1]["negative_elbo"], abs=2)  # at other draws
    own = tmp_path / "own.npy"
    np.save(own, np.zeros((3, 28, 28), np.uint8))
    assert main(["encode", str(semi_run), str(own), "-o", str(tmp_path / "b.npz")]) == 0  # without labels


@pytest.mark.parametrize(("posterior", "columns"), [
    ("DiagonalNormal", {"mean", "scale", "elbo"}), ("PointMass", {"mean"}),
    ("PowerSpherical", {"mean", "scale", "elbo"}), ("CategoricalCodes", {"mean", "scale", "elbo"}),
])  # fmt: skip
def test_encode_writes_what_there_is(posterior: str, columns: set[str], tiny: Callable[..., VAE], x: Tensor) -> None:
    from vaescope import families, priors
    from vaescope.distributions import centre as centre_of

    prior = {"PowerSpherical": "HypersphericalUniform", "CategoricalCodes": "UniformCodes"}.get(posterior)
    model = tiny(posterior=getattr(families, posterior), prior=getattr(priors, prior or "StandardNormal"))
    (table,) = rows(model, [Examples(x)])  # type: ignore[arg-type]
    assert set(table) == columns
    assert np.allclose(table["mean"], centre_of(model.infer(x)).detach().numpy())


def test_a_family_without_a_standard_deviation_has_no_scale(tiny: Callable[..., VAE], x: Tensor) -> None:

    from torch.distributions import Normal, TransformedDistribution
    from torch.distributions.transforms import ExpTransform

    class Flow(TransformedDistribution):
        mean = property(lambda self: self.base_dist.mean.exp())  # type: ignore[assignment]

    class Posterior(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.family = tiny().posterior.family

        def forward(self, x: Tensor, context: Tensor | None = None) -> TransformedDistribution:
            base = torch.distributions.Independent(Normal(torch.zeros(len(x), 2), torch.ones(len(x), 2)), 1)
            return Flow(base, [ExpTransform()], validate_args=False)

    model = tiny()
    model.posterior = Posterior()  # type: ignore[assignment]
    assert set(next(rows(model, [Examples(x)]))) == {"mean", "elbo"}  # type: ignore[arg-type]
