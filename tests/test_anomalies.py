"""Whether images of another kind are found strange, where they come from, and classes that are left out."""

import json
import math
import shutil
import zlib
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import TINY
from data_helpers import arrays, content, put, refused
from PIL import Image

from vaescope.cli import main
from vaescope.data.dataset import OWN, ImageData
from vaescope.data.examples import Examples
from vaescope.data.images import ImageSet, Split
from vaescope.data.rows import Mapped
from vaescope.data.without import of_classes, said, without
from vaescope.evaluation import evaluate, load
from vaescope.metrics import auroc, average_precision
from vaescope.metrics.anomalies import (
    Strangeness,
    anomalies,
    compressed,
    independent_bernoulli,
    independent_levels,
    told_apart,
)
from vaescope.metrics.ranking import average_precision_error, end_interval, placements
from vaescope.metrics.score import InapplicableError, Score
from vaescope.metrics.subject import Effort, Outliers, Subject
from vaescope.models import VAE, Flat
from vaescope.nets import MLP
from vaescope.outliers import outliers, spread
from vaescope.run import Run

FEW = Effort("few", test=40, train=50)


def numbers(seed: int, n: int = 80, m: int = 50, levels: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    """Numbers of two kinds of cases, many of them equal."""
    source = torch.Generator().manual_seed(seed)
    inside, outside = (torch.randn(count, generator=source) for count in (n, m))
    return (inside * 3).round().clamp(-levels, levels), ((outside + 0.7) * 3).round()


@pytest.mark.parametrize("seed", range(4))
def test_areas_agree_with_those_of_a_well_known_library(seed: int) -> None:
    oracle = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    inside, outside = numbers(seed)
    truth, scores = [0] * len(inside) + [1] * len(outside), torch.cat([inside, outside]).numpy()
    assert auroc(inside, outside)[0] == pytest.approx(oracle.roc_auc_score(truth, scores), abs=1e-12)
    known = oracle.average_precision_score(truth, scores)
    assert average_precision(inside, outside) == pytest.approx(known, abs=1e-12)


def test_areas_at_their_ends() -> None:
    low, high = torch.arange(5.0), torch.arange(10.0, 14.0)
    assert auroc(low, high) == (1, 0)
    assert auroc(high, low) == (0, 0)
    assert auroc(torch.ones(3), torch.ones(4)) == (0.5, 0)
    assert average_precision(low, high) == 1
    assert average_precision(torch.ones(3), torch.ones(1)) == 0.25  # of equal numbers: chance
    assert math.isnan(auroc(torch.ones(1), torch.ones(4))[1])


def test_placements_count_equal_numbers_half() -> None:
    assert placements(torch.tensor([0.0, 1.0, 1.5, 9.0]), torch.tensor([1.0, 2.0, 1.0, 3.0])).tolist() == [
        0,
        0.25,
        0.5,
        1,
    ]


def test_the_error_after_delong_is_the_spread_of_other_samples() -> None:
    found = [auroc(*numbers(seed)) for seed in range(300)]
    areas, errors = torch.tensor(found).double().T
    assert errors.mean() == pytest.approx(float(areas.std()), rel=0.15)
    precisions = torch.tensor([average_precision(*numbers(seed)) for seed in range(300)]).double()
    bootstrap = np.mean([average_precision_error(*numbers(seed), seed) for seed in range(10)])
    assert bootstrap == pytest.approx(float(precisions.std()), rel=0.3)


@pytest.mark.parametrize(("n", "m"), [(2, 2), (30, 40), (1000, 300), (10_000, 10_000)])
def test_the_interval_of_a_perfect_area_ends_where_it_is_as_far_as_its_own_error_goes(n: int, m: int) -> None:
    low, high = end_interval(1.0, n, m)
    q = low / (2 - low), 2 * low**2 / (1 + low)  # Hanley and McNeil (1982), with the mean of the numbers of cases
    more = (n + m) / 2 - 1
    error = math.sqrt((low * (1 - low) + more * (q[0] - low**2) + more * (q[1] - low**2)) / (n * m))
    assert (1 - low) / error == pytest.approx(1.959964)
    assert 1 - 10 / min(n, m) < low < high == 1
    assert end_interval(0.0, n, m) == pytest.approx((0, 1 - low))
    assert end_interval(1.0, 2 * n, 2 * m)[0] > low


def test_a_perfect_area_has_no_error_but_an_interval() -> None:
    perfect = Strangeness("a", "A", "a number", (torch.arange(30.0), torch.arange(40.0, 60.0)))
    area, precision = told_apart(perfect, "p", 0, "MNIST")
    assert (area.value, area.error, area.interval) == (1, None, end_interval(1.0, 30, 20))
    assert "Newcombe" in area.protocol
    assert (precision.value, precision.error) == (1, None)


def test_the_own_images_are_noticed(run_folder: Path) -> None:
    said: list[str] = []
    run = Run.load(run_folder)
    outliers(run, "sample", 3, said.append)
    assert [line for line in said if line.startswith("warning: --against sample is the image set of the run itself")]


def test_areas_do_not_change_with_the_scale_of_the_numbers() -> None:
    inside, outside = numbers(0)
    assert auroc(inside.exp(), outside.exp())[0] == pytest.approx(auroc(inside, outside)[0], abs=1e-12)
    assert auroc(-inside, -outside)[0] == pytest.approx(1 - auroc(inside, outside)[0], abs=1e-12)


def test_backgrounds_are_distributions() -> None:
    every = torch.tensor(list(product([0.0, 1.0], repeat=4))).view(16, 1, 2, 2)
    background = independent_bernoulli(Examples(every[3:9]))
    assert (-background(every)).exp().sum() == pytest.approx(1, abs=1e-12)
    three = torch.tensor(list(product(range(3), repeat=4))).view(81, 1, 2, 2)
    levels = independent_levels(iter([three[:10], three[10:15]]), 3)
    assert (-levels(three)).exp().sum() == pytest.approx(1, abs=1e-5)
    assert levels(three[:1]) < levels(three[-1:])  # what was seen is more likely
    one = independent_bernoulli(Examples(torch.ones(3, 1, 1, 1)))
    assert one(torch.ones(1, 1, 1, 1)) == pytest.approx(-math.log(4 / 5))  # smoothed by a one and a zero


def test_complexity_is_the_compressed_length() -> None:
    source = np.random.default_rng(0)
    noise, plain = source.integers(0, 256, (1, 1, 16, 16), dtype=np.uint8), np.full((1, 1, 16, 16), 7, np.uint8)
    ramp = np.arange(16, dtype=np.uint8).repeat(16).reshape(1, 1, 16, 16).swapaxes(2, 3)
    lengths = [float(compressed(each)) for each in (plain, ramp, noise)]
    assert lengths == sorted(lengths)
    assert lengths[2] > 256 * math.log(256)  # noise has no shorter description
    steps = np.concatenate([ramp[..., :1], ramp[..., 1:] - ramp[..., :-1]], -1)
    assert lengths[1] == pytest.approx(8 * math.log(2) * len(zlib.compress(steps.tobytes(), 9)))
    assert float(compressed(noise.astype(np.uint16) * 257)) > lengths[2]


def subject(model: VAE, images: ImageSet, strange: torch.Tensor | None, effort: Effort = FEW) -> Subject:
    target = ImageData("sample").target
    found = None if strange is None else Outliers("strange", strange, target.alone(strange))
    return Subject(model.eval(), target, images, effort, seed=1, outliers=found)


def scores(of: Subject) -> dict[str, Score]:
    return {score.name: score for score in anomalies(of)}


def test_noise_is_strange_and_darkness_is_not(images: ImageSet, run_folder: Path) -> None:
    model = Run.load(run_folder).model
    noise = torch.randint(0, 256, (30, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    found = scores(subject(model, images, noise))
    for name in ("negative_elbo", "reconstruction"):
        assert found[f"{name}_auroc"].value > 0.95
        assert found[f"{name}_aupr"].value > 0.95
    assert "30 images of strange as outliers against 40 test images" in found["negative_elbo_auroc"].protocol
    assert "chance is 0.429" in found["negative_elbo_aupr"].protocol
    assert "50 training images" in found["ratio_auroc"].protocol
    dark = scores(subject(model, images, torch.zeros(30, 1, 28, 28, dtype=torch.uint8)))
    assert dark["negative_elbo_auroc"].value < 0.2
    assert "Nalisnick" in dark["negative_elbo_auroc"].warning
    assert not found["negative_elbo_auroc"].warning
    assert dark["complexity_auroc"].value > dark["negative_elbo_auroc"].value
    assert all(score.of_data and not score.warning for name, score in dark.items() if "alone" in name)


def test_test_images_are_not_strange(images: ImageSet, run_folder: Path) -> None:
    model = Run.load(run_folder).model
    levels = images.test.images[:]
    found = scores(subject(model, images, levels, Effort("all")))
    for score in found.values():
        assert score.cases == "test images and those of strange"
        chance = 0.5
        assert abs(score.value - chance) < 0.1, score.name


def test_what_has_no_outliers_or_takes_labels_is_not_measured(images: ImageSet, tiny: Callable[..., VAE]) -> None:
    with pytest.raises(InapplicableError, match="--against"):
        list(anomalies(subject(tiny(), images, None)))
    labelled = Flat(network=MLP(width=8), labels=True)((1, 28, 28), 10)
    with pytest.raises(InapplicableError, match="conditioned on labels"):
        list(anomalies(subject(labelled, images, images.test.images[:])))
    with pytest.raises(InapplicableError, match="two outliers"):
        list(anomalies(subject(tiny(), images, images.test.images[:1])))


def test_some_are_taken_at_equal_distances() -> None:
    assert spread(range(10), 5) == [0, 2, 4, 6, 8]
    assert spread([3, 4, 9], None) == [3, 4, 9]
    assert spread([3, 4, 9], 7) == [3, 4, 9]
    assert len(set(spread(range(1000), 999))) == 999


def test_outliers_come_from_wherever_images_are(run_folder: Path, tmp_path: Path) -> None:
    run = Run.load(run_folder)
    (tmp_path / "photos").mkdir()
    for k in range(5):
        Image.fromarray(np.full((40, 30, 3), 50 * k, np.uint8)).save(tmp_path / "photos" / f"{k}.png")
    photos = outliers(run, str(tmp_path / "photos"), 3, str)
    assert photos is not None
    assert photos.images.shape == (3, 1, 28, 28)
    assert photos.images[:, 0, 0, 0].tolist() == [0, 50, 150]  # at equal distances
    assert photos.examples.values.shape == (3, 1, 28, 28)
    both = {"x_train": np.zeros((4, 9, 9), np.uint8), "x_test": np.full((2, 9, 9), 200, np.uint8)}
    np.savez(tmp_path / "both.npz", **both)
    tested = outliers(run, str(tmp_path / "both.npz"), None, str)
    assert tested is not None
    assert tested.images.unique().tolist() == [200]
    idx = outliers(run, str(put(tmp_path / "idx", content(arrays(size=(9, 8))), zipped=True)), None, str)
    assert idx is not None
    assert (idx.title, len(idx.images)) == ("idx", 6)
    named = outliers(run, "sample", None, str)
    assert named is not None
    assert named.title == "Fashion-MNIST, a sample of 300"
    assert len(named.images) == 60
    assert outliers(run, None, None, str) is None


def test_outliers_that_are_not_there_are_told_in_one_line(run_folder: Path, tmp_path: Path) -> None:
    run = Run.load(run_folder)
    assert "did you mean `mnist`" in refused(outliers, run, "mnits", None, str)
    assert "does not exist" in refused(outliers, run, str(tmp_path / "none"), None, str)
    (tmp_path / "empty").mkdir()
    assert str(tmp_path / "empty") in refused(outliers, run, str(tmp_path / "empty"), None, str)


def test_what_was_measured_stays_when_nothing_is_given(run_folder: Path, images: ImageSet, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(run_folder, folder)
    run = Run.load(folder)
    evaluate(run, ["anomalies"], FEW, against="sample", report=str)
    first = load(folder).metrics["anomalies"]
    assert first.scores
    assert "nothing to compare with" in refused(evaluate, run, ["anomalies"], FEW, 0, str)
    assert "add it to --metrics" in refused(evaluate, run, ["elbo"], FEW, 0, str, against="sample")
    found = evaluate(run, None, FEW, report=str)
    assert found.metrics["samples"].scores
    for kept in (found, load(folder)):
        assert [score.record() for score in kept.metrics["anomalies"].scores] == [s.record() for s in first.scores]


def own(folder: Path, names: tuple[str, ...] = ("cat", "dog", "fish"), count: int = 12) -> Path:
    """Pictures in a folder for each class, in levels of their own."""
    source = np.random.default_rng(0)
    for k, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            Image.fromarray(source.integers(70 * k, 70 * k + 60, (8, 8), dtype=np.uint8)).save(
                folder / name / f"{i}.png"
            )
    return folder


def test_classes_are_left_out_of_all_splits(images: ImageSet) -> None:
    rest = without(images, ["Bag", "Trouser"])
    assert len(rest.classes) == 8
    assert rest.title == "Fashion-MNIST, a sample of 300 without Bag, Trouser"
    for name, split in images.splits.items():
        kept = rest.splits[name]
        assert split.labels is not None
        assert kept.labels is not None
        wanted = [k for k, label in enumerate(split.labels.tolist()) if images.classes[label] not in ("Bag", "Trouser")]
        assert kept.images[:].equal(split.images[wanted])
        was = [images.classes[label] for label in split.labels[wanted].tolist()]
        assert [rest.classes[label] for label in kept.labels.tolist()] == was
    left = of_classes(images, ["Bag", "Trouser"])
    assert len(left) + len(rest.test) == len(images.test)
    assert set(left.labels.tolist()) == {1, 8}  # type: ignore[union-attr]


def test_a_single_class_is_no_label_any_more(images: ImageSet) -> None:
    rest = without(images, images.classes[1:])
    assert rest.classes == ()
    assert all(split.labels is None for split in rest.splits.values())
    assert "6 more classes" in rest.title


def test_images_of_no_known_class_are_left_out_too() -> None:
    labels = torch.tensor([0, 1, 2, -1, 0, 1])
    split = Split(torch.arange(6, dtype=torch.uint8).view(6, 1, 1, 1), labels)
    rest = without(ImageSet("x", "X", ("a", "b", "c"), split, split, split), ["b"])
    assert rest.train.images.flatten().tolist() == [0, 2, 4]
    assert rest.train.labels is not None
    assert rest.train.labels.tolist() == [0, 1, 0]


def test_what_cannot_be_left_out_is_refused(images: ImageSet) -> None:
    assert "did you mean Sandal?" in refused(without, images, ["Sandals"])
    assert "there are T-shirt/top, Trouser" in refused(without, images, ["xyz"])
    assert "every class" in refused(without, images, images.classes)
    bare = ImageSet("x", "X", (), *(Split(split.images) for split in images.splits.values()))
    assert "has no labels" in refused(without, bare, ["Bag"])
    only = Split(images.test.images[:5], torch.zeros(5, dtype=torch.int64))
    lone = ImageSet("x", "X", images.classes, images.train, images.validation, only)
    assert "no test image without" in refused(without, lone, [images.classes[0]])
    assert said(["a", "b", "c", "d"]) == "a, b, c and 1 more classes"


def test_own_images_stay_on_disk_with_their_names(tmp_path: Path) -> None:
    folder, cache = own(tmp_path / "pets"), tmp_path / "cache"
    whole = ImageData(OWN, folder, cache=cache).load(str)
    entries = list((cache / "images").iterdir())
    data = ImageData(OWN, folder, without=("dog",), cache=cache)
    rest = data.load(str)
    assert list((cache / "images").iterdir()) == entries  # nothing is decoded anew
    assert isinstance(rest.train.images, Mapped)
    assert rest.classes == ("cat", "fish")
    for name, split in rest.splits.items():
        all_names = list(whole.splits[name].names())
        assert list(split.names()) == [each for each in all_names if not each.startswith("dog")]
        assert len(list(split.names())) == len(split)
        assert split.images[:].equal(whole.splits[name].images[[not each.startswith("dog") for each in all_names]])
    again = without(rest, ["cat"])  # of rows of which some are left out already
    assert [each[:4] for each in again.train.names()] == ["fish"] * len(again.train)
    assert int(again.train.images[:].min()) >= 140
    title, strange = data.left_out(str)
    assert title.endswith("pets, dog") or title == "pets, dog"
    assert all(each.startswith("dog") for each in strange.names())


def test_rows_of_which_some_are_left_out(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(20, dtype=np.uint8).reshape(10, 2))
    rows = Mapped(tmp_path / "x.npy").some(torch.tensor([1, 4, 5, 9]))
    assert (len(rows), rows.shape, rows.nbytes) == (4, (4, 2), 8)
    assert rows[1:3].tolist() == [[8, 9], [10, 11]]
    assert rows[[3, 0]].tolist() == [[18, 19], [2, 3]]
    assert rows[torch.tensor([True, False, False, True])].tolist() == [[2, 3], [18, 19]]
    assert rows.some(torch.tensor([0, 2]))[:].tolist() == [[2, 3], [10, 11]]
    with pytest.raises(IndexError):
        rows[[4]]


@pytest.mark.usefixtures("undrawn")
def test_a_run_without_classes_is_trained_and_told_what_is_strange(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    words = ["train", *TINY, "--data.without", "[Bag, Sandal]", "--trainer.epochs", "2", "--out", str(folder)]
    words += ["--trainer.checkpoint_every", "8"]
    assert main(words) == 0
    run = Run.load(folder)
    assert run.config.data.without == ("Bag", "Sandal")
    assert len(run.classes) == 8
    assert "Bag" not in run.classes
    assert len(run.data(str).test) == 48
    assert main(["evaluate", str(folder), "--quick", "--metrics", "anomalies"]) == 0
    record = json.loads((folder / "evaluation.json").read_text())
    assert "without Bag, Sandal" in record["data"]
    protocol = record["metrics"]["anomalies"]["scores"][0]["protocol"]
    assert "12 images of Fashion-MNIST, a sample of 300, Bag, Sandal as outliers against 48 test images" in protocol
    assert "AUROC, −ELBO" in capsys.readouterr().out
    (folder / "model.safetensors").unlink()  # as if it had been cut off before its end
    assert main(["train", "--resume", str(folder)]) == 0
    assert Run.load(folder).classes == run.classes


@pytest.mark.usefixtures("undrawn")
def test_a_class_whose_name_is_a_number(tmp_path: Path) -> None:
    put(tmp_path / "set", content(arrays(train=24, test=9)))
    rest = ImageData("idx", tmp_path / "set", without=(2,)).load(str)
    assert rest.classes == ("0", "1")
    words: list[Any] = [
        "train",
        "--data",
        str(tmp_path / "set"),
        "--data.without",
        "[2]",
        "--trainer.steps",
        "2",
        "--trainer.batch_size",
        "4",
    ]
    words += ["--figures.frames", "0", "--figures.explorer", "false"]
    assert main([*words, "--out", str(tmp_path / "run")]) == 0
    assert Run.load(tmp_path / "run").classes == ("0", "1")
