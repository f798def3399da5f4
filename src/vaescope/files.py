"""Files that are whole or not there: write beside the target, then rename.

A rename within one folder is atomic, so a reader sees the old file or the new one, never half of either, and an
interruption or a full disk leaves the old one as it was. What was written is on the disk before it is renamed, and the
name before the work goes on, so that a power cut takes back nothing of what was done. A process that is killed can
leave a file or folder behind that begins with a dot and ends in ``.tmp``: see :func:`remove_leftovers`.
"""

import errno
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from vaescope.errors import UsageError


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
        to_disk(temporary)
        temporary.chmod(0o666 & ~_umask())  # some writers make their files private
        temporary.replace(path)
        to_disk(path.parent)
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
        for written in (*temporary.rglob("*"), temporary):
            to_disk(written)
        temporary.chmod(0o777 & ~_umask())  # mkdtemp makes it private
        if replace and path.exists():
            _swap(temporary, path)
        else:
            temporary.rename(path)
        to_disk(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def to_disk(path: Path) -> None:
    """Waits until a file, or the names in a folder, would survive a power cut."""
    folder = path.is_dir()
    if folder and os.name == "nt":
        return  # Windows opens no folders
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if not (folder and error.errno in (errno.EINVAL, errno.ENOTSUP)):  # as some network file systems say of folders
            raise
    finally:
        os.close(handle)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keeps a folder to this process as long as the block lasts. The system takes the lock back when a process ends,
    however it ends.

    Raises:
        UsageError: If another process holds it.
    """
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UsageError(f"{folder} is being trained by another process: wait for it to end, or stop it") from None
    try:
        yield
    finally:
        lock.release()


def remove_leftovers(folder: Path) -> None:
    """Removes what a process that was killed had begun to write below a folder that nobody else writes to.

    Args:
        folder: The folder. What cannot be removed stays: it is in nobody's way.
    """
    for path in sorted([*folder.rglob(".*.tmp*"), *folder.rglob(".*.old")]):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink()


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
