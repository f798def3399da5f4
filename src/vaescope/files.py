"""Files that are whole or not there: write beside the target, then rename.

A rename within one folder is atomic, so a reader sees the old file or the new one, never half of either, and an
interruption or a full disk leaves the old one as it was.
"""

import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def cache_folder() -> Path:
    """Where things are kept that can be made anew: ``$VAESCOPE_CACHE``, or the place that the system has for them."""
    if own := os.environ.get("VAESCOPE_CACHE"):
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "vaescope"


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Gives a temporary path with the same ending to write to, and renames it to ``path`` when the block succeeds.

    Args:
        path: The file to write. Its folder is made if it is not there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}-{threading.get_ident()}.tmp{path.suffix}")
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o666 & ~_umask())  # some writers make their files private
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path, replace: bool = False) -> Iterator[Path]:
    """Gives a temporary folder to fill, and renames it to ``path`` when the block succeeds.

    Args:
        path: The folder to make.
        replace: Whether it takes the place of one that is there, which is then gone. Without this there must be none.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
    try:
        yield temporary
        for file in temporary.rglob("*"):
            if file.is_file():
                with file.open("rb") as written:
                    os.fsync(written.fileno())
        temporary.chmod(0o777 & ~_umask())  # mkdtemp makes it private
        if replace and path.exists():
            _swap(temporary, path)
        else:
            temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _swap(new: Path, path: Path) -> None:
    """Puts a folder in the place of another one, which goes back there if that fails."""
    old = new.with_suffix(".old")
    path.rename(old)
    try:
        new.rename(path)
    except OSError:
        old.rename(path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _umask() -> int:
    """The permissions that this process withholds from new files. It can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
