"""What the package ships of the page is what its sources in ``web/`` make."""

import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest

WEB = Path(__file__).parent.parent / "web"
SHIPPED = Path(str(files("vaescope.explorer"))) / "assets"

pytestmark = [
    pytest.mark.skipif(not shutil.which("node"), reason="there is no node"),
    pytest.mark.skipif(not (WEB / "node_modules").is_dir(), reason="its packages are not installed: npm ci, in web"),
]


def node(*words: str) -> None:
    """Runs node in the folder of the sources."""
    done = subprocess.run(["node", *words], cwd=WEB, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_page_is_what_its_sources_make(tmp_path: Path) -> None:
    node("build.mjs", str(tmp_path))
    made = sorted(path.name for path in tmp_path.iterdir())
    assert made == ["page.css", "page.js", "worker.js"]
    assert [name for name in made if (tmp_path / name).read_bytes() != (SHIPPED / name).read_bytes()] == []


@pytest.mark.slow
def test_the_runtime_is_that_of_its_package(tmp_path: Path) -> None:
    node("runtime.mjs", str(tmp_path))
    assert (tmp_path / "runtime.wasm.gz").read_bytes() == (SHIPPED / "runtime.wasm.gz").read_bytes()


@pytest.mark.slow
def test_the_types_of_the_sources_are_right() -> None:
    node("node_modules/typescript/bin/tsc", "--noEmit")


@pytest.mark.slow
def test_the_sources_are_in_their_style() -> None:
    node("node_modules/prettier/bin/prettier.cjs", "--check", "--log-level", "warn", ".")
