"""Gets a named set onto this machine: whatever already lies here, then the mirrors, then Debian's package.

What arrives is compared with the SHA-256 of the decompressed file before it is put in its place, so it does not matter
who served it, and a transfer over plain http is as good as any. The files of a set appear together or not at all.
"""

import errno
import hashlib
import logging
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from vaescope.data import sprites
from vaescope.data.idx import CHUNK, open_bytes
from vaescope.data.sources import DebianPackage, NamedSet, recognise
from vaescope.errors import RunError, UsageError
from vaescope.files import atomic_folder

Report = Callable[[str], None]
Progress = Callable[[str, int, int], None]
"""Is told, again and again: the name of a file, the bytes so far, the bytes in all (0 if the server does not say). Or
:data:`IMAGES`, and how many of how many have been looked at."""

IMAGES = "images"

log = logging.getLogger(__name__).info


def fetch(
    named: NamedSet, root: Path, report: Report = log, progress: Progress | None = None, timeout: float = 10.0
) -> Path:
    """Makes ``root/<name>`` hold the four files of a set, decompressed and verified, and returns that folder.

    Files that are there and right are kept; if none is missing, nothing is asked of the network. A set that ships
    with vaescope is returned where it lies, and one that is drawn here is drawn.

    Args:
        named: The set.
        root: The folder of all data sets, ``data.root``.
        report: Is told in one line what is tried, and why it failed.
        progress: Is told how far a download is.
        timeout: The seconds that a server may be silent before the next source is tried.

    Raises:
        UsageError: If a file there is wrong, if ``root`` cannot be written to, or if no source works.
        RunError: If the disk is full.
    """
    if named.shipped:
        return named.shipped
    folder = root / named.name
    with _disk_explained(named, folder):
        missing = _missing(named, folder)
        if missing and named.drawn:
            report(f"drawing {named.name} to {folder}")
            sprites.keep(folder / sprites.FILE)
        elif missing:
            _gather(named, missing, root, _sources(named, root, progress, timeout), report)
    return folder


def locate(folder: Path, name: str) -> Path | None:
    """The file called ``name`` in ``folder``, plain or gzipped; some sites write ``images.idx3`` in it."""
    spellings = (name, f"{name}.gz", name.replace("-idx", ".idx"), name.replace("-idx", ".idx") + ".gz")
    return next((path for path in map(folder.joinpath, spellings) if path.is_file()), None)


def present(named: NamedSet, root: Path) -> Path | None:
    """The folder where the four files lie, not looked into: ``root/<name>``, ``root`` itself, or where they ship."""
    places = (named.shipped,) if named.shipped else (root / named.name, root)
    return next((place for place in places if all(locate(place, file.name) for file in named.files.values())), None)


def mismatch(named: NamedSet, role: str, path: Path, sha256: str) -> UsageError:
    """The error for a file that is not the one that was expected, saying what it is if we know it.

    Args:
        named: The set that was asked for.
        role: The file's role in it.
        path: The file.
        sha256: The SHA-256 of its decompressed bytes.
    """
    known, _ = recognise(sha256) or (None, None)
    if known is None:
        remedy = f"; {named.remedy}"
    elif known == named.name:
        remedy = ": were files swapped?"
    else:
        remedy = f": ask for {known}, or choose another data.root"
    return UsageError(_difference(named, role, path, sha256) + remedy)


def _difference(named: NamedSet, role: str, path: Path, sha256: str) -> str:
    known, name = recognise(sha256) or (None, None)
    identity = f"; this is {name} of {known}" if known else ""
    expected = named.files[role].sha256
    return f"checksum mismatch: file {path}, expected SHA-256 {expected[:16]}..., got {sha256[:16]}...{identity}"


class Source(Protocol):
    """A place to get files from. Its text is what a report calls it."""

    def bring(self, name: str, limit: int, scratch: Path) -> Path | None:
        """The file called ``name``, plain or gzipped, or None where it is no surprise that it is not there.

        Args:
            name: The name without ``.gz``.
            limit: The number of bytes that a download may not exceed.
            scratch: A folder that is removed when the source is done with.

        Raises:
            UsageError: If it cannot be had, with the reason.
        """


@dataclass(frozen=True)
class Folder:
    """A folder on this machine where the files may lie already."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    def bring(self, name: str, limit: int, scratch: Path) -> Path | None:
        return locate(self.path, name)


@dataclass(frozen=True)
class Mirror:
    """A base URL that serves ``<name>.gz``."""

    url: str
    timeout: float
    progress: Progress | None

    def __str__(self) -> str:
        return self.url

    def bring(self, name: str, limit: int, scratch: Path) -> Path:
        from pooch import HTTPDownloader  # type: ignore[import-untyped]

        target, meter = scratch / f"{name}.gz", _Meter(name, limit, self.progress)
        download = HTTPDownloader(progressbar=meter, chunk_size=1 << 16, timeout=self.timeout)
        try:
            download(f"{self.url}{name}.gz", str(target), None)
        except UsageError:
            raise
        except (OSError, ValueError) as error:  # those of requests, too
            if getattr(error, "errno", None) == errno.ENOSPC:
                raise
            raise UsageError(f"{name}.gz: {_network_reason(error, self.timeout)}") from None
        return target


@dataclass
class _Meter:
    """What pooch takes for a progress bar; it also ends a download that is larger than the file can be."""

    name: str
    limit: int
    progress: Progress | None
    total: int = 0
    done: int = 0

    def update(self, amount: int) -> None:
        self.done += amount
        if self.done > self.limit + (1 << 20):
            raise UsageError(f"{self.name}.gz: the server sends more than the file can hold")
        if self.progress:
            self.progress(self.name, min(self.done, self.total or self.done), self.total)

    def reset(self) -> None:
        self.done = 0

    def close(self) -> None:
        pass


def _network_reason(error: Exception, timeout: float) -> str:
    """What went wrong, without the library's stack of causes."""
    response = getattr(error, "response", None)
    if response is not None:
        return f"the server answers {response.status_code} {response.reason}"
    said = str(error).lower()
    causes = {
        "timed out": f"no answer within {timeout:g} s",
        "incompleteread": "the connection broke off",
        "resol": "its host name cannot be resolved; is there a network?",
        "refused": "it refuses the connection",
    }
    return next((text for cause, text in causes.items() if cause in said), f"no connection ({type(error).__name__})")


@dataclass
class Debian:
    """A Debian package, downloaded and unpacked without being installed, which needs no rights.

    The package lists of this machine are used if they know the package. A fresh container has none, and only root may
    renew them, so the second attempt keeps lists of its own beside the package.
    """

    package: DebianPackage
    patience: float = 600.0
    unpacked: Path | None = field(default=None, init=False)

    def __str__(self) -> str:
        return f"Debian package {self.package.name}"

    def bring(self, name: str, limit: int, scratch: Path) -> Path:
        if self.unpacked is None:
            self.unpacked = self._unpack(scratch)
        found = locate(self.unpacked / self.package.folder.lstrip("/"), name)
        if found is None:
            raise UsageError(f"it holds no {name}")
        return found

    def _unpack(self, scratch: Path) -> Path:
        """Downloads the package and unpacks it below ``scratch``."""
        for tool in ("apt-get", "dpkg-deb"):
            if shutil.which(tool) is None:
                raise UsageError(f"{tool} is not on this machine")
        try:
            self._download(scratch, _APT)
        except UsageError:
            with suppress(UsageError):  # one broken source of many does not matter if another has the package
                self._run(scratch, "apt-get", "-c", _write_settings(scratch, _APT + _OWN_LISTS), "update")
            self._download(scratch, _APT + _OWN_LISTS)
        archive = next(scratch.glob(f"{self.package.name}_*.deb"))
        self._run(scratch, "dpkg-deb", "-x", archive.name, "unpacked")
        archive.unlink()
        return scratch / "unpacked"

    def _download(self, scratch: Path, settings: str) -> None:
        self._run(scratch, "apt-get", "-c", _write_settings(scratch, settings), "download", self.package.name)

    def _run(self, scratch: Path, *command: str) -> None:
        """Runs a program in ``scratch``; what it says is kept for the error."""
        environment = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
        try:
            done = subprocess.run(
                command,
                cwd=scratch,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=self.patience,
            )
        except subprocess.TimeoutExpired:
            raise UsageError(f"{command[0]} took longer than {self.patience:g} s") from None
        if done.returncode:
            said = done.stderr.decode(errors="replace").splitlines() or [f"exit code {done.returncode}"]
            errors = [line.removeprefix("E: ") for line in said if line.startswith("E: ")]
            raise UsageError(f"{command[0]}: {(errors or said)[0].strip()}")


# apt drops root for the user _apt, who may not write into a private folder; without root the setting has no effect.
_APT = """
APT::Sandbox::User "root";
Acquire::Retries "1";
Acquire::http::Timeout "10";
Acquire::https::Timeout "10";
"""
# Only what is needed to find the package, and none of the hooks that tidy up the machine's own caches after an update.
_OWN_LISTS = """
Dir::State::lists "{scratch}/lists";
Dir::Cache "{scratch}/cache";
Acquire::Languages "none";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
"""


def _write_settings(scratch: Path, settings: str) -> str:
    """Writes a configuration for apt-get, and makes the folders that it may name."""
    for folder in ("lists/partial", "cache/archives/partial"):
        (scratch / folder).mkdir(parents=True, exist_ok=True)
    (scratch / "apt.conf").write_text(settings.format(scratch=scratch))
    return str(scratch / "apt.conf")


def _sources(named: NamedSet, root: Path, progress: Progress | None, timeout: float) -> Iterator[Source]:
    """Where to look for the files, nearest first."""
    yield Folder(root / named.name)
    yield Folder(root)
    if named.torchvision:
        yield Folder(root / named.torchvision)
    if named.debian:
        yield Folder(Path(named.debian.folder))
    for url in named.mirrors:
        yield Mirror(url, timeout, progress)
    if named.debian:
        yield Debian(named.debian)


def _missing(named: NamedSet, folder: Path) -> list[str]:
    """The roles whose files are not in ``folder``, once those that are there are found right."""
    missing = []
    for role, file in named.files.items():
        path = locate(folder, file.name)
        if path and (found := _digest(named, role, path)) != file.sha256:
            raise mismatch(named, role, path, found)
        if path != folder / file.name:  # not there, or not decompressed
            missing.append(role)
    return missing


def _digest(named: NamedSet, role: str, path: Path) -> str:
    """The SHA-256 of what a file holds."""
    return sprites.read(path)[2] if named.drawn else _copy(named, role, path, None)


def _gather(named: NamedSet, missing: list[str], root: Path, sources: Iterable[Source], report: Report) -> None:
    """Brings the missing files from one source after the other, and puts them into place once none is missing."""
    with _appear_together(root / named.name) as new:
        for source in sources:
            for role in _bring(named, missing, source, new, report):
                missing.remove(role)
            if not missing:
                return
        raise UsageError(_advice(named, missing, root))


def _bring(named: NamedSet, roles: Sequence[str], source: Source, new: Path, report: Report) -> list[str]:
    """Copies what a source has into the folder ``new``, and returns the roles that it had, up to its first failure."""
    brought: list[str] = []
    if not isinstance(source, Folder):
        report(f"fetching {named.name} from {source}")
    with TemporaryDirectory(prefix="vaescope-", ignore_cleanup_errors=True) as scratch:
        try:
            for role in roles:
                found = source.bring(named.files[role].name, named.size(role), Path(scratch))
                if found is None:
                    continue
                sha256 = _copy(named, role, found, new / named.files[role].name)
                if sha256 != named.files[role].sha256:
                    raise UsageError(_difference(named, role, found, sha256))
                brought.append(role)
        except UsageError as error:
            report(f"{source} did not work: {error}".replace(f"{scratch}{os.sep}", ""))
    if brought:
        report(f"{len(brought)} of the 4 files of {named.name} came from {source}")
    return brought


def _copy(named: NamedSet, role: str, path: Path, target: Path | None) -> str:
    """The SHA-256 of a file, decompressed; on the way it is written to ``target``, where one is given."""
    digest, length = hashlib.sha256(), 0
    with open_bytes(path) as stream, target.open("wb") if target else nullcontext() as out:
        while length <= named.size(role) and (chunk := stream.read(CHUNK)):
            length += len(chunk)
            digest.update(chunk)
            if out:
                out.write(chunk)
    return digest.hexdigest()


@contextmanager
def _appear_together(folder: Path) -> Iterator[Path]:
    """A place for new files, which appear in ``folder`` when the block succeeds; what is there already stays."""
    if not folder.exists():
        with atomic_folder(folder) as new:
            yield new
        return
    with TemporaryDirectory(prefix=".", suffix=".tmp", dir=folder) as beside:
        yield Path(beside)
        for file in Path(beside).iterdir():
            file.replace(folder / file.name)


@contextmanager
def _disk_explained(named: NamedSet, folder: Path) -> Iterator[None]:
    """Turns what the disk refuses into one line."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY) and folder.is_dir() and not _missing(named, folder):
            return  # another process was faster
        reason = (error.strerror or str(error)).lower()
        if error.errno == errno.ENOSPC:
            need = 2 + sum(map(named.size, named.files)) // 1_000_000
            raise RunError(
                f"{reason} while fetching {named.name} to {folder}: it needs {need} MB there "
                f"and about as much in the folder for temporary files"
            ) from None
        where = error.filename or folder
        raise UsageError(f"cannot write {where} ({reason}): choose a data.root in which you may write") from None


def _advice(named: NamedSet, missing: Sequence[str], root: Path) -> str:
    names = ", ".join(named.files[role].name for role in missing)
    apt = f"`apt install {named.debian.name}`, or " if named.debian else ""
    return (
        f"no source of {named.name} worked: try again later, or {apt}put {names} (gzipped or not) into a folder "
        f"and set data.root to it, for example {root / named.name}; {named.homepage} has them"
    )
