"""The notebook runs from its first cell to its last, and stores nothing of what it made elsewhere."""

import json
from pathlib import Path
from typing import Any

import matplotlib
import pytest

PAGE = Path(__file__).parent.parent / "docs" / "own-images.ipynb"
CELLS: list[dict[str, Any]] = json.loads(PAGE.read_text())["cells"]


def test_it_stores_no_outputs() -> None:
    assert not any(cell["outputs"] or cell["execution_count"] for cell in CELLS if cell["cell_type"] == "code")


@pytest.mark.slow
@pytest.mark.usefixtures("untraced")
def test_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sklearn", reason="needs the extra sklearn")
    matplotlib.use("Agg", force=True)
    from matplotlib import pyplot

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pyplot, "show", lambda: pyplot.close("all"))
    names: dict[str, Any] = {}
    for cell in (cell for cell in CELLS if cell["cell_type"] == "code"):
        exec(compile("".join(cell["source"]), f"{PAGE.name}, {cell['id']}", "exec"), names)
    assert (names["labels"][names["nearest"]] == names["labels"]).mean() > 0.9
    assert names["odd"].max() < names["usual"].min()
    assert names["classifier"].score(names["test_rows"], names["test_labels"]) > 0.8
    assert names["run"].classes == names["from_folder"].classes == tuple(sorted(names["KINDS"]))
