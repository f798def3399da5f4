"""What a page is given: images of all classes however few are shown, scores that add up, and curves that stay small."""

import base64
import json
import re
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from vaescope.data.images import ImageSet
from vaescope.explorer.blocks import Blocks
from vaescope.explorer.points import Points, add_points, evenly, look
from vaescope.explorer.travel import ON_A_CURVE, curves
from vaescope.run import Run


@pytest.mark.parametrize("count", [1, 7, 99, 100, 101, 199, 200, 1000])
def test_few_of_many_are_spread_over_all(count: int) -> None:
    rows = evenly(count, 100).numpy()
    assert len(rows) == min(count, 100)
    assert len(set(np.diff(rows))) <= 2
    assert rows[0] == 0
    assert count - rows[-1] <= -(-count // 100)


def test_the_last_test_images_are_among_few(run_folder: Path, images: ImageSet) -> None:
    run, count = Run.load(run_folder), len(images.test)
    most = count * 2 // 3
    found = look(run, images, most)
    rows = [k * count // most for k in range(most)]  # as the page counts
    assert np.array_equal(found.labels, images.test.labels[rows])  # type: ignore[index, arg-type]
    assert len(found.codes) == most


def test_whose_its_parts_are_is_in_the_page(explorer_page: Path) -> None:
    block = re.search(r'id="block-licences">([^<]*)<', explorer_page.read_text(encoding="utf-8"))
    assert block is not None
    text = base64.b64decode(block[1]).decode()
    assert text == (files("vaescope.explorer") / "assets" / "LICENSES").read_text(encoding="utf-8")
    assert all(name in text for name in ("onnxruntime", "gifenc", "Protocol Buffers"))


def test_a_rate_is_not_shown_without_its_distortion() -> None:
    columns = {
        "mean": np.zeros((3, 2)),
        "error": np.ones(3),
        "distortion": np.array([1, np.inf, 2]),
        "rate": np.ones(3),
        "pictures": np.zeros((3, 1, 4, 4), np.uint8),
    }
    shown = add_points(Blocks(), Points(3, None, columns), with_images=False)
    assert list(shown["scores"]) == ["error"]


def test_a_long_log_is_a_short_curve(run_folder: Path, images: ImageSet, tmp_path: Path) -> None:
    run = Run.load(run_folder)
    lines = [{"step": k, "split": "train", "loss": 1 / k, "distortion": 1 / k} for k in range(1, 5 * ON_A_CURVE)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    object.__setattr__(run, "folder", tmp_path)
    train = curves(run, images)["train"]  # type: ignore[index]
    assert ON_A_CURVE / 2 < len(train["steps"]) == len(train["loss"]) <= ON_A_CURVE
    assert train["steps"][0] == 1
