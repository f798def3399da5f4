"""From words to a run: images that are in no file."""

from pathlib import Path

import numpy as np
import pytest
from data_helpers import refused

from vaescope.config import build, parse
from vaescope.data.cache import open_entry
from vaescope.data.own import from_arrays
from vaescope.request import of_source, parser

MANY = np.random.default_rng(0).integers(0, 256, (200, 9, 9), dtype=np.uint8)


def test_arrays_are_decoded_as_the_words_say(tmp_path: Path) -> None:
    words = ["--data.validation", "0.4", "--data.size", "8", "--data.cache", str(tmp_path), "--seed", "3"]
    expanded, found = of_source(from_arrays(MANY), words)
    made = parser()
    settings = build(made, parse(made, expanded))
    assert found.survey.count == 200
    assert settings.data.name == "decoded"
    assert settings.data.root.parents[1] == tmp_path
    assert settings.seed == 3
    images = settings.data.load()
    assert images.shape == (1, 8, 8)
    assert abs(len(images.validation) - 80) < 4 * (200 * 0.4 * 0.6) ** 0.5
    assert len(images.train) < 130
    assert open_entry(settings.data.root).shape == (1, 8, 8)


@pytest.mark.parametrize("word", ["--data.validation=2", "--data.fit=foo", "--trainer.epoch=3"])
def test_a_wrong_word_is_refused_before_anything_is_decoded(word: str, tmp_path: Path) -> None:
    key = word[2:].partition("=")[0]
    assert key in refused(of_source, from_arrays(MANY), [word, f"--data.cache={tmp_path}"])
    assert list(tmp_path.iterdir()) == []
