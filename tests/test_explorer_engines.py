"""The page runs in Chromium, Firefox and WebKit without an error, where they are there."""

from pathlib import Path

import numpy as np
import pytest

from tests.browser import chromium
from tests.engines import firefox, watched, webkit
from vaescope.run import Run

pytestmark = pytest.mark.slow

Z = [0.4, -0.7]


@pytest.mark.parametrize("started", [chromium, firefox, webkit])
def test_it_loads_decodes_and_follows_the_pointer(
    started: object, run_folder: Path, explorer_page: Path, tmp_path: Path
) -> None:
    page = watched(explorer_page, tmp_path)
    with started(tmp_path) as window:  # type: ignore[operator]
        window.open(page)
        made = window.run("return [...(await engine.decode(Float32Array.from(given[0]), 'test'))]", Z)
        assert np.abs(made - Run.load(run_folder).decode([Z]).ravel()).max() < 1e-3
        before = window.state("z")
        left, top, width, height = window.box("canvas.map")
        window.drag([(left + width * share, top + height * share) for share in (0.3, 0.4, 0.6)], press=False)
        window.wait("return JSON.stringify(store.now.z) !== JSON.stringify(given[0])", before)
        for tab in window.run("return [...document.querySelectorAll('[role=tab]')].map((one) => one.id.slice(4))"):
            window.set(tab=tab)
            window.frames(5)
        assert window.run("return heard") == []
