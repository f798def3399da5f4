"""Small image sets, a web server that misbehaves on request, and where the real sets lie on some machines."""

import gzip
import hashlib
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vaescope.data.idx import format_idx
from vaescope.data.sources import FILE_NAMES, IdxFile, NamedSet
from vaescope.errors import UsageError

FASHION = Path("/usr/share/datasets/fashion-mnist")
MNIST = Path(__file__).parents[2] / "shared" / "data" / "mnist"


def needs(folder: Path) -> pytest.MarkDecorator:
    """Skips a test, saying so, where a folder with a full set is not there."""
    return pytest.mark.skipif(not folder.is_dir(), reason=f"the full set is not at {folder}")


def arrays(seed: int = 0, train: int = 12, test: int = 6, size: tuple[int, ...] = (5, 4)) -> dict[str, np.ndarray]:
    """Random images and labels by role."""
    source = np.random.default_rng(seed)
    return {
        "train_images": source.integers(0, 256, (train, *size), dtype=np.uint8),
        "train_labels": source.permutation(train).astype(np.uint8) % 3,
        "test_images": source.integers(0, 256, (test, *size), dtype=np.uint8),
        "test_labels": source.permutation(test).astype(np.uint8) % 3,
    }


def content(values: Mapping[str, np.ndarray]) -> dict[str, bytes]:
    """The four idx files by name."""
    return {FILE_NAMES[role]: format_idx(array) for role, array in values.items()}


def named_set(files: Mapping[str, bytes], **others: Any) -> NamedSet:
    """A set called `tiny` that is made of these files."""
    digests = {role: IdxFile(name, hashlib.sha256(files[name]).hexdigest()) for role, name in FILE_NAMES.items()}
    return NamedSet(
        "tiny", "Tiny", ("a", "b", "c"), digests, (1, 5, 4), (12, 6), "MIT", "https://example.org", **others
    )


def put(folder: Path, files: Mapping[str, bytes], zipped: bool = False) -> Path:
    """Writes files to a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / (f"{name}.gz" if zipped else name)).write_bytes(gzip.compress(data) if zipped else data)
    return folder


def refused(function: Any, *arguments: Any, **named: Any) -> str:
    """The one line with which a call is refused."""
    with pytest.raises(UsageError) as caught:
        function(*arguments, **named)
    line = str(caught.value)
    assert "\n" not in line
    return line


class Server(ThreadingHTTPServer):
    """Serves `pages` by path: bytes, or a function that answers a request itself. Remembers what was asked for."""

    pages: dict[str, Any]
    asked: list[str]
    closing: threading.Event

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        page = self.server.pages.get(self.path)
        if page is None:
            self.send_error(404)
        elif callable(page):
            page(self)
        else:
            answer(self, page, len(page))

    def log_message(self, format: str, *args: Any) -> None:
        pass


def answer(request: BaseHTTPRequestHandler, data: bytes, promised: int | str) -> None:
    """Sends data under a Content-Length that may be a lie."""
    request.send_response(200)
    request.send_header("Content-Length", str(promised))
    request.end_headers()
    request.wfile.write(data)


def stall(request: Any) -> None:
    """Promises data and sends none."""
    answer(request, b"", 100)
    request.server.closing.wait(10)


@contextmanager
def serve(pages: Mapping[str, Any]) -> Iterator[Server]:
    """A web server on this machine, for as long as the block runs."""
    with Server(("127.0.0.1", 0), Handler) as server:
        server.pages, server.asked, server.closing = dict(pages), [], threading.Event()
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.closing.set()
            server.shutdown()
            thread.join()


def pages(files: Mapping[str, bytes], below: str = "/") -> dict[str, Any]:
    """What a good mirror serves."""
    return {f"{below}{name}.gz": gzip.compress(data) for name, data in files.items()}
