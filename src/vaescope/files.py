"""Files that are whole or not there: write beside the target, then rename.

A rename within one folder is atomic, so a reader sees the old file or the new one, never half of either, and an
interruption or a full disk leaves the old one as it was. What was written is on the disk before it is renamed, and the
name before the work goes on, so that a power cut takes back nothing of what was done.

What is not whole yet is in a folder whose name begins with a dot and ends in ``.tmp``, and which its process holds
locked. A process that is killed leaves it behind, and the lock goes; whoever writes the same thing next removes it.
"""

import errno
import glob
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from vaescope.errors import RunError, UsageError

OLD = ".old"
"""What a folder that is being replaced is called, in a temporary folder of its own."""

LEFT = re.compile(r"\.[^.].*\.(\w+\.tmp|\w{8}\.old|\d+-\d+\.tmp(\.\w+)?)")
"""The names of what is not whole yet. The last two are those of versions before checkpoints had hashes."""


def cache_folder() -> Path:
    """Where things are kept that can be made anew: ``$VAESCOPE_CACHE``, or the place that the system has for them."""
    if own := os.environ.get("VAESCOPE_CACHE"):
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "vaescope"


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Gives a temporary path with the same name to write to, and renames it to ``path`` when the block succeeds.

    Args:
        path: The file to write. Its folder is made if it is not there.
    """
    with _beside(path) as place:
        temporary = place / path.name
        yield temporary
        to_disk(temporary)
        temporary.chmod(0o666 & ~_umask())  # some writers make their files private
        temporary.replace(path)
        to_disk(path.parent)


@contextmanager
def atomic_folder(path: Path, replace: bool = False) -> Iterator[Path]:
    """Gives a temporary folder to fill, and renames it to ``path`` when the block succeeds.

    Args:
        path: The folder to make.
        replace: Whether it takes the place of one that is there, which is then gone. Without this there must be none.
    """
    with _beside(path) as temporary:
        yield temporary
        for written in (*temporary.rglob("*"), temporary):
            to_disk(written)
        shared = temporary.stat().st_mode & stat.S_ISGID  # of folders that a group shares
        temporary.chmod(0o777 & ~_umask() | shared)  # that of a temporary folder is private
        if replace and path.exists():
            _swap(temporary, path)
        else:
            temporary.rename(path)
        to_disk(path.parent)


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """A temporary folder beside a path, which is removed at the end. What was left of those for the same path by
    processes that were killed is removed at the beginning."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        _remove_abandoned(left)
    while True:
        place = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
        with _held(place, wait=True):
            if not place.exists():  # another process found it before it was held
                continue
            try:
                yield place
            finally:
                shutil.rmtree(place, ignore_errors=True)
            return


@contextmanager
def _held(folder: Path, wait: bool = False) -> Iterator[bool]:
    """Holds a folder as long as the block lasts, or this process lives.

    Args:
        folder: The folder.
        wait: Whether to wait until nobody else holds it.

    Returns:
        Whether it is held. It is not where folders cannot be locked, as on Windows and some network file systems.
    """
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        yield False
        return
    try:
        yield _locked(handle, wait)
    finally:
        os.close(handle)


def _locked(handle: int, wait: bool) -> bool:
    """Locks an open folder. Returns whether that could be done."""
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (ImportError, OSError):
        return False
    return True


def _remove_abandoned(left: Path) -> None:
    """Removes a temporary folder unless its process lives. A folder that was being replaced comes back."""
    with _held(left) as mine:
        if not mine:
            return
        path = left.with_name(left.name[1:].rsplit(".", 2)[0])
        if (left / OLD).exists() and not path.exists():
            with suppress(OSError):
                (left / OLD).rename(path)
        shutil.rmtree(left, ignore_errors=True)


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
    however it ends. On a file system without locks nobody is refused: a file in their place would outlive a process
    that is killed.

    Raises:
        UsageError: If another process holds it.
        RunError: If the folder cannot be written to.
    """
    lock = FileLock(folder / ".lock", fallback_to_soft=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UsageError(f"{folder} is being trained by another process: wait for it to end, or stop it") from None
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.ENOTSUP):
            raise RunError(f"{folder} cannot be written to ({error.strerror}): mend that, and try again") from None
    try:
        yield
    finally:
        lock.release()


def leftovers(folder: Path) -> list[Path]:
    """What is not whole yet anywhere below a folder: of processes that were killed, and of those that live."""
    return sorted(path for path in folder.rglob(".*") if LEFT.fullmatch(path.name))


def remove_leftovers(folder: Path) -> None:
    """Removes what processes that were killed had begun to write anywhere below a folder.

    Args:
        folder: The folder. What another process is writing stays, and what cannot be removed: it is in nobody's way.
    """
    for path in leftovers(folder):
        if path.is_dir() and not path.is_symlink():
            _remove_abandoned(path)
        else:
            with suppress(OSError):
                path.unlink()


def _swap(new: Path, path: Path) -> None:
    """Puts a folder in the place of another one, which goes back there if that fails."""
    with _beside(path) as place:
        path.rename(place / OLD)
        try:
            new.rename(path)
        except OSError:
            (place / OLD).rename(path)
            raise


def _umask() -> int:
    """The permissions that this process withholds from new files. It can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
