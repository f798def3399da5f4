"""Runs on the Hugging Face Hub: what is needed to use one, and to see what it came to.

A run is uploaded in one commit, and downloaded file by file by a list of what a run may hold. Neither checkpoints nor
frames travel, and no pickle: there is none in a run. What comes from elsewhere is only data to us. The config of a run
may name the components of vaescope alone, and weights are safetensors; so a run that was downloaded is loaded to prove
that it is one, and this executes nothing of it.
"""

import errno
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from vaescope.data.fetch import Report, log
from vaescope.errors import RunError, UsageError, one_line
from vaescope.files import atomic_folder
from vaescope.optional import hushed, needed
from vaescope.run import Run

NEEDED = ("config.yaml", "model.safetensors")
"""The files without which a run is none."""

TRAVELS = re.compile(
    r"config\.yaml|model\.safetensors|README\.md|metrics\.jsonl|evaluation\.json|figures/[A-Za-z0-9][\w-]*\.(png|gif)"
)
"""The names of all files that go up or come down. None of them leads out of a folder."""

LARGEST = 100_000_000
"""The most bytes that a file may have, but for the weights."""


def push(
    folder: Path,
    repository: str,
    private: bool = False,
    message: str | None = None,
    endpoint: str | None = None,
    report: Report = log,
) -> str:
    """Uploads a run, in one commit. The repository is made if it is not there.

    Args:
        folder: The run folder.
        repository: The repository, ``user/name``.
        private: Whether nobody else may see it. One that is there and public is then refused.
        message: What the commit is called.
        endpoint: The address of the hub, by default that of ``HF_ENDPOINT``, or huggingface.co.
        report: Is told in one line what is being done.

    Returns:
        The address of the repository.

    Raises:
        UsageError: If the folder is no run, or the hub refuses it.
        RunError: If the hub cannot be reached.
    """
    hub = needed("hub", "huggingface_hub")
    Run.load(folder)  # what does not load here will not load elsewhere
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and TRAVELS.fullmatch(name_of(path, folder))]
    api = hub.HfApi(endpoint=endpoint, library_name="vaescope")
    with explained(repository), silent(hub):
        address = str(api.create_repo(repository, private=private or None, exist_ok=True))
        if private and not api.model_info(repository).private:
            raise UsageError(f"{repository} is there already and everyone can see it: make it private first")
        size = sum(path.stat().st_size for path in files)
        report(f"uploading {len(files)} files, {size / 1e6:.1f} MB")
        parts = [hub.CommitOperationAdd(path_in_repo=name_of(path, folder), path_or_fileobj=path) for path in files]
        api.create_commit(repository, parts, commit_message=message or f"The run {folder.resolve().name}")
    return address


def pull(repository: str, folder: Path, endpoint: str | None = None, report: Report = log) -> Run:
    """Downloads a run. It appears once it is whole and loads; nothing is left of one that does not.

    Args:
        repository: The repository, ``user/name``.
        folder: The run folder to make.
        endpoint: The address of the hub, by default that of ``HF_ENDPOINT``, or huggingface.co.
        report: Is told in one line what is being done.

    Raises:
        UsageError: If the folder is there already, the hub refuses, or the repository holds no run that loads.
        RunError: If the hub cannot be reached.
    """
    hub = needed("hub", "huggingface_hub")
    if folder.exists():
        raise UsageError(f"{folder} is there already: give another -o")
    api = hub.HfApi(endpoint=endpoint, library_name="vaescope")
    with explained(repository), silent(hub):
        found = api.model_info(repository, files_metadata=True)
    names = listed(repository, {file.rfilename: file.size or 0 for file in found.siblings or ()})
    report(f"downloading {len(names)} files of {repository}")
    with atomic_folder(folder) as temporary:
        with explained(repository), silent(hub):
            for name in names:
                api.hf_hub_download(repository, name, revision=found.sha, local_dir=temporary)
        shutil.rmtree(temporary / ".cache", ignore_errors=True)  # where the library keeps its notes
        run = prove(repository, temporary)
    return replace(run, folder=folder)


def name_of(path: Path, folder: Path) -> str:
    """A file's name in a repository."""
    return path.relative_to(folder).as_posix()


def listed(repository: str, sizes: dict[str, int]) -> list[str]:
    """The files of a repository that belong to a run.

    Args:
        repository: Its name.
        sizes: The bytes of every file in it, by name.

    Raises:
        UsageError: If some are missing, or one is beyond all reason.
    """
    if missing := [name for name in NEEDED if name not in sizes]:
        raise UsageError(f"{repository} holds no {missing[0]}: it is no run that `vaescope push` uploaded")
    names = sorted(name for name in sizes if TRAVELS.fullmatch(name))
    if large := [name for name in names if sizes[name] > LARGEST and name != "model.safetensors"]:
        raise UsageError(f"{repository} has a {large[0]} of {sizes[large[0]] / 1e6:,.0f} MB: that is no file of a run")
    return names


def prove(repository: str, folder: Path) -> Run:
    """Loads a run that was just downloaded.

    Args:
        repository: Where it came from, for what is said of it.
        folder: Where it is for now.

    Raises:
        UsageError: If it does not load.
    """
    try:
        return Run.load(folder)
    except (UsageError, RuntimeError, MemoryError, TypeError, ValueError) as error:
        reason = one_line(UsageError(str(error).replace(f"{folder}/", "")))
        raise UsageError(f"{repository} was not kept, for it is no run that loads: {reason}") from None


@contextmanager
def silent(hub: Any) -> Iterator[None]:
    """Without the library's progress bars, one for each file, and what it logs of its attempts."""
    shown = not hub.utils.are_progress_bars_disabled()
    hub.utils.disable_progress_bars()
    try:
        with hushed("huggingface_hub"):
            yield
    finally:
        if shown:
            hub.utils.enable_progress_bars()


@contextmanager
def explained(repository: str) -> Iterator[None]:
    """Turns what the hub, or the way to it, has against a request into one line."""
    errors: Any = needed("hub", "huggingface_hub.errors")
    login = "log in with `hf auth login`, or set HF_TOKEN"
    try:
        yield
    except UsageError:
        raise
    except errors.HFValidationError:
        raise UsageError(f"{repository} is no name of a repository: give one such as user/name") from None
    except errors.GatedRepoError:
        raise UsageError(f"{repository} is gated: ask for access on its page, and {login}") from None
    except errors.RepositoryNotFoundError:
        raise UsageError(
            f"there is no model repository {repository} that you may see: mind its name, or {login}"
        ) from None
    except errors.LocalTokenNotFoundError:
        raise UsageError(f"{repository} needs to know who you are: {login}") from None
    except errors.OfflineModeIsEnabled:
        raise UsageError("HF_HUB_OFFLINE is set, so nothing can be had from the hub: unset it") from None
    except errors.HfHubHTTPError as error:
        status = getattr(error.response, "status_code", None)
        if status in (401, 403):
            raise UsageError(f"the hub does not let you do this to {repository} ({status}): {login}") from None
        raise RunError(f"the hub answers {status} for {repository}: try again later ({said(error)})") from None
    except (OSError, errors.HTTPError) as error:  # of the network, in whichever library speaks it
        if getattr(error, "filename", None) or getattr(error, "errno", None) == errno.ENOSPC:
            raise  # of the disk
        raise RunError(f"the hub cannot be reached for {repository} ({said(error)}): is there a network?") from None
    except ValueError as error:  # found before anything is sent
        raise UsageError(f"the hub takes no such file for {repository} ({said(error)})") from None


def said(error: Exception) -> str:
    """The reason within an error of the library, which puts a page of advice around it."""
    while error.__cause__ is not None and isinstance(error.__cause__, Exception):
        error = error.__cause__
    return one_line(error)
