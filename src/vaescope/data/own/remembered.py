"""What was found out about a file by reading it, remembered until the file changes.

A file is taken for unchanged if its size, its times of modification and of change and its inode are the same: a copy
over it, an edit in place and a clock set back all show in one of them. What changed a moment ago could change again
within one tick of the clock, so it is not remembered yet. Without a folder to remember in, everything is read anew.
"""

import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Container, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from vaescope.files import atomic_file, cache_folder
from vaescope.foreign import from_json

Stamp = list[int]

SETTLED = 2_000_000_000
"""A file is remembered once it has not changed for so many nanoseconds, a tick of the coarsest clock."""

UNREADABLE = "unreadable"
"""Stands for the digest of a file that cannot be read: to say so is for who decodes it."""

log = logging.getLogger(__name__)


def hasher(start: bytes = b"") -> "hashlib.blake2b":
    """The hash that images are known by."""
    return hashlib.blake2b(start, digest_size=20)


class Remembered:
    """Facts about the files of one place, in a file of the cache.

    Args:
        place: The folder or file that they are about. Of nothing, nothing is remembered.
        kind: What is remembered of it.
    """

    def __init__(self, place: Path | None, kind: str) -> None:
        name = hashlib.blake2b(b"" if place is None else os.fsencode(place.resolve()), digest_size=16).hexdigest()
        self.place, self.path = place, cache_folder() / "known" / f"{name}-{kind}.json"
        self.old: dict[str, list] = {} if place is None else _load(self.path)
        self.new = dict(self.old)

    def recall(self, key: str, compute: Callable[[], str]) -> str:
        """What is remembered of the file under a key, or else what ``compute`` finds in it."""
        stamp = [] if self.place is None else stamp_of(self.place)
        known = self.known(key, stamp)
        return self.learn(key, stamp, compute()) if known is None else known

    def known(self, key: str, stamp: Stamp) -> str | None:
        """What is remembered under a key if the file has still the same stamp."""
        entry = self.old.get(key)
        if not isinstance(entry, list) or len(entry) != 2 or entry[0] != stamp or not isinstance(entry[1], str):
            return None
        return entry[1]

    def learn(self, key: str, stamp: Stamp, fact: str) -> str:
        """Remembers a fact about a file with this stamp, unless the file may still be changing."""
        if stamp and time.time_ns() - max(stamp[1:3]) >= SETTLED:
            self.new[key] = [stamp, fact]
        return fact

    def forget_others(self, keys: Container[str]) -> None:
        """Forgets everything but these keys."""
        self.new = {key: entry for key, entry in self.new.items() if key in keys}

    def keep(self) -> None:
        """Writes everything down."""
        if self.place is None or self.new == self.old:
            return
        try:
            with atomic_file(self.path) as temporary:
                temporary.write_text(json.dumps(self.new, separators=(",", ":")))
        except OSError as error:
            log.debug("nothing is remembered in %s: %s", self.path, error)


@contextmanager
def remembering(place: Path | None, kind: str) -> Iterator[Remembered]:
    """Facts about a place, written down when the block succeeds; see :class:`Remembered`."""
    facts = Remembered(place, kind)
    yield facts
    facts.keep()


def digests(place: Path, files: Mapping[str, Path]) -> dict[str, str]:
    """The digest of every file, read only if it has changed since the last time.

    Args:
        place: The folder that they lie in.
        files: The path of each file by its name, which is its key.
    """
    stamps = {name: stamp_of(path) for name, path in files.items()}
    with remembering(place, "files") as facts, ThreadPoolExecutor() as pool:
        facts.forget_others(files)
        found = {name: facts.known(name, stamp) for name, stamp in stamps.items()}
        new = [name for name, digest in found.items() if digest is None]
        for name, digest in zip(new, pool.map(_digest, (files[name] for name in new)), strict=True):
            found[name] = digest if digest == UNREADABLE else facts.learn(name, stamps[name], digest)
    return {name: digest for name, digest in found.items() if digest is not None}


def stamp_of(path: Path) -> Stamp:
    """What shows that a file has changed; empty if there is no such file."""
    try:
        found = path.stat()
    except OSError:
        return []
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, hasher).hexdigest()
    except OSError:
        return UNREADABLE


def _load(path: Path) -> dict[str, list]:
    try:
        facts = from_json(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}
