"""Files that are whole or not there, and what a process that is killed leaves behind."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from vaescope.files import atomic_file, atomic_folder

forks = pytest.mark.skipif(sys.platform == "win32", reason="Windows neither forks nor locks folders")


def killed(work: Callable[[], object]) -> None:
    """Lets a child of this process do something, in the course of which it ends itself."""
    pid = os.fork()
    if not pid:
        work()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


def end() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_file_or_folder_is_there_when_the_block_ends_well(tmp_path: Path) -> None:
    def write(failing: bool) -> None:
        with atomic_file(tmp_path / "f.txt") as temporary:
            assert temporary.name == "f.txt"  # some formats hold the name of their file
            temporary.write_text("new")
            assert not failing or 1 / 0
        with atomic_folder(tmp_path / "g", replace=True) as folder:
            (folder / "a").write_text("new")

    with pytest.raises(ZeroDivisionError):
        write(failing=True)
    assert not list(tmp_path.iterdir())
    for _ in range(2):
        write(failing=False)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["f.txt", "g"]
        assert (tmp_path / "g" / "a").read_text() == "new"


@forks
def test_what_a_killed_process_left_is_removed_by_the_next_one(tmp_path: Path) -> None:
    def begin(path: Path, folder: bool) -> None:
        with (atomic_folder if folder else atomic_file)(path) as temporary:
            (temporary if folder else temporary.parent).joinpath(".tmpXyz").write_text("a library does as we do")
            end()

    killed(lambda: begin(tmp_path / "f.txt", folder=False))
    killed(lambda: begin(tmp_path / "g", folder=True))
    assert len(list(tmp_path.iterdir())) == 2
    with atomic_file(tmp_path / "f.txt") as temporary:
        temporary.touch()
    with atomic_folder(tmp_path / "g"):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f.txt", "g"]


@forks
def test_what_another_process_is_writing_stays(tmp_path: Path) -> None:
    with atomic_file(tmp_path / "f.txt") as mine:
        mine.write_text("mine")
        with atomic_file(tmp_path / "f.txt") as theirs:
            theirs.write_text("theirs")
        assert (tmp_path / "f.txt").read_text() == "theirs"
    assert (tmp_path / "f.txt").read_text() == "mine"


@forks
def test_a_folder_that_was_being_replaced_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two renamings there is a moment without it."""
    path = tmp_path / "g"
    with atomic_folder(path) as folder:
        (folder / "a").write_text("old")
    rename = Path.rename

    def first_only(self: Path, target: Path) -> None:
        rename(self, target)
        end()

    def replace() -> None:
        with monkeypatch.context() as patch, atomic_folder(path, replace=True) as folder:
            (folder / "a").write_text("new")
            patch.setattr(Path, "rename", first_only)

    killed(replace)
    assert not path.exists()
    with atomic_folder(path, replace=True) as folder:
        assert (path / "a").read_text() == "old"
        (folder / "b").touch()
    assert [p.name for p in path.iterdir()] == ["b"]
    assert [p.name for p in tmp_path.iterdir()] == ["g"]
