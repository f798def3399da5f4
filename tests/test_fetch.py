"""Fetching: from the nearest source that works, verified, all files or none, and never again."""

import errno
import gzip
import os
import re
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from data_helpers import answer, arrays, content, named_set, pages, put, refused, serve, stall

from vaescope.data import fetch as module
from vaescope.data.fetch import fetch
from vaescope.data.sources import NAMED, ROLES, DebianPackage, find, recognise
from vaescope.errors import RunError

FILES = content(arrays())
OTHERS = content(arrays(seed=1))
IMAGES, LABELS, TEST_IMAGES, TEST_LABELS = FILES


@pytest.fixture
def lines() -> list[str]:
    return []


def holds(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def nothing_left(root: Path) -> bool:
    return not root.exists() or not list(root.iterdir())


# --- from a mirror


def test_from_a_mirror_once(tmp_path: Path, lines: list[str]) -> None:
    """The second time nothing is asked of the network, nor written."""
    with serve(pages(FILES, "/data/")) as server:
        named = named_set(FILES, mirrors=(f"{server.url}data/",))
        assert fetch(named, tmp_path, lines.append) == tmp_path / "tiny"
        assert holds(tmp_path / "tiny") == FILES
        assert lines == [
            f"fetching tiny from {server.url}data/",
            f"4 of the 4 files of tiny came from {server.url}data/",
        ]
        assert len(server.asked) == 4
        before = [path.stat() for path in (tmp_path / "tiny").iterdir()]
        fetch(named, tmp_path, lines.append)
        assert len(server.asked) == 4
        assert [path.stat().st_mtime_ns for path in (tmp_path / "tiny").iterdir()] == [s.st_mtime_ns for s in before]
    assert len(lines) == 2
    fetch(named, tmp_path, lines.append)  # with no server at all
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]
    assert stat.S_IMODE((tmp_path / "tiny").stat().st_mode) == 0o755


BAD_PAGES = {
    "the server answers 404 Not Found": {},
    "checksum mismatch": pages(OTHERS),
    "is truncated": {path: data[:-20] for path, data in pages(FILES).items()},
    "connection broke off": {path: lambda request: cut(request) for path in pages(FILES)},
    "no answer within 0.2 s": dict.fromkeys(pages(FILES), stall),
    "more than the file can hold": dict.fromkeys(pages(FILES), bytes(3_000_000)),
    "no connection (ValueError)": dict.fromkeys(pages(FILES), lambda request: answer(request, b"", "many")),
    "not the file": dict.fromkeys(pages(FILES), b"<html>please log in</html>"),
}


def cut(request: Any) -> None:
    """Promises more than it sends."""
    request.send_response(200)
    request.send_header("Content-Length", "1000")
    request.end_headers()
    request.wfile.write(bytes(10))


@pytest.mark.parametrize("reason", BAD_PAGES)
def test_mirrors_are_tried_in_turn(tmp_path: Path, lines: list[str], reason: str) -> None:
    """Each way to fail is one line, and the next mirror is asked."""
    with serve(BAD_PAGES[reason]) as bad, serve(pages(FILES)) as good:
        fetch(named_set(FILES, mirrors=(bad.url, good.url)), tmp_path, lines.append, timeout=0.2)
        assert (len(bad.asked), len(good.asked)) == (1, 4)
    assert holds(tmp_path / "tiny") == FILES
    assert lines[:1] + lines[2:] == [
        f"fetching tiny from {bad.url}",
        f"fetching tiny from {good.url}",
        f"4 of the 4 files of tiny came from {good.url}",
    ]
    assert lines[1].startswith(f"{bad.url} did not work: ")
    assert (reason if reason != "not the file" else "checksum mismatch") in lines[1]
    assert "\n" not in lines[1]
    assert "vaescope-" not in lines[1]  # no word of the temporary folder
    assert "delete" not in lines[1]


def test_mirrors_complete_one_another(tmp_path: Path, lines: list[str]) -> None:
    """What one mirror had is not asked of the next."""
    half = pages({IMAGES: FILES[IMAGES], LABELS: FILES[LABELS]})
    with serve(half) as first, serve(pages(FILES)) as second:
        fetch(named_set(FILES, mirrors=(first.url, second.url)), tmp_path, lines.append)
        assert second.asked == [f"/{TEST_IMAGES}.gz", f"/{TEST_LABELS}.gz"]
    assert holds(tmp_path / "tiny") == FILES


def test_a_server_may_unzip_on_the_way(tmp_path: Path) -> None:
    """Some do, with a Content-Encoding: the digest is that of the decompressed bytes."""
    with serve({f"/{name}.gz": data for name, data in FILES.items()}) as server:
        fetch(named_set(FILES, mirrors=(server.url,)), tmp_path)
    assert holds(tmp_path / "tiny") == FILES


def test_nobody_there(tmp_path: Path, lines: list[str]) -> None:
    with serve({}) as server:
        gone = server.url
    named = named_set(FILES, mirrors=(gone,), debian=DebianPackage("dataset-tiny", str(tmp_path / "usr")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        line = refused(fetch, named, tmp_path / "root", lines.append)
    assert f"{gone} did not work: {IMAGES}.gz: it refuses the connection" in lines
    assert "Debian package dataset-tiny did not work: apt-get is not on this machine" in lines
    assert line.startswith("no source of tiny worked")
    assert "`apt install dataset-tiny`" in line
    assert all(name in line for name in FILES)
    assert nothing_left(tmp_path / "root")


def test_progress(tmp_path: Path) -> None:
    """Is told bytes that grow to the length of each file."""
    told: dict[str, list[tuple[int, int]]] = {}
    with serve(pages(FILES)) as server:
        named = named_set(FILES, mirrors=(server.url,))
        fetch(named, tmp_path, progress=lambda name, done, total: told.setdefault(name, []).append((done, total)))
    assert list(told) == list(FILES)
    for name, steps in told.items():
        length = len(pages({name: FILES[name]})[f"/{name}.gz"])
        assert {total for _, total in steps} == {length}
        assert [done for done, _ in steps] == sorted(done for done, _ in steps)
        assert steps[-1] == (length, length)


# --- from this machine


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("place", ["tiny", ".", "Tiny/raw", "usr/share/tiny"])
def test_copies_on_this_machine(tmp_path: Path, lines: list[str], place: str, zipped: bool) -> None:
    put(tmp_path / place, FILES, zipped)
    package = DebianPackage("dataset-tiny", str(tmp_path / "usr/share/tiny"))
    fetch(named_set(FILES, torchvision="Tiny/raw", debian=package), tmp_path, lines.append)
    assert holds(tmp_path / "tiny").items() >= FILES.items()
    assert bool(lines) == (zipped or place != "tiny")


def test_other_spellings(tmp_path: Path) -> None:
    put(tmp_path, {name.replace("-idx", ".idx"): data for name, data in FILES.items()})
    fetch(named_set(FILES), tmp_path)
    assert holds(tmp_path / "tiny") == FILES


def test_only_what_is_missing_is_fetched(tmp_path: Path) -> None:
    put(tmp_path / "tiny", {IMAGES: FILES[IMAGES], "notes.txt": b"mine"})
    put(tmp_path / "tiny", {LABELS: FILES[LABELS]}, zipped=True)
    with serve(pages(FILES)) as server:
        fetch(named_set(FILES, mirrors=(server.url,)), tmp_path)
        assert server.asked == [f"/{TEST_IMAGES}.gz", f"/{TEST_LABELS}.gz"]
    found = holds(tmp_path / "tiny")
    assert found.pop("notes.txt") == b"mine"
    assert gzip.decompress(found.pop(f"{LABELS}.gz")) == FILES[LABELS]
    assert found == FILES


@pytest.mark.parametrize("zipped", [False, True])
def test_a_wrong_file_is_not_overwritten(tmp_path: Path, zipped: bool) -> None:
    folder = put(tmp_path / "tiny", {LABELS: OTHERS[LABELS]}, zipped)
    before = holds(folder)
    with serve(pages(FILES)) as server:
        line = refused(fetch, named_set(FILES, mirrors=(server.url,)), tmp_path)
        assert server.asked == []
    assert line.startswith(f"checksum mismatch: file {folder / LABELS}")
    assert "delete it and run `vaescope data fetch tiny`" in line
    assert holds(folder) == before


def test_another_set_beside_is_left_alone(tmp_path: Path, lines: list[str]) -> None:
    """MNIST and Fashion-MNIST use the same four names."""
    put(tmp_path, OTHERS)
    with serve(pages(FILES)) as server:
        fetch(named_set(FILES, mirrors=(server.url,)), tmp_path, lines.append)
    assert lines[0].startswith(f"{tmp_path} did not work: checksum mismatch: file {tmp_path / IMAGES}")
    assert holds(tmp_path / "tiny") == FILES
    assert (tmp_path / IMAGES).read_bytes() == OTHERS[IMAGES]


def test_what_ships_is_not_fetched(tmp_path: Path) -> None:
    assert fetch(NAMED["sample"], tmp_path / "root") == NAMED["sample"].shipped
    assert nothing_left(tmp_path)


# --- all or nothing


def test_a_gzip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    (tmp_path / "bomb").write_bytes(gzip.compress(bytes(50_000_000), 1))
    module._copy(named_set(FILES), ROLES[0], tmp_path / "bomb", tmp_path / "out")
    assert (tmp_path / "out").stat().st_size < 2_000_000


@pytest.mark.parametrize("half_there", [False, True])
def test_an_interruption_leaves_nothing(tmp_path: Path, half_there: bool) -> None:
    there = {IMAGES: FILES[IMAGES]} if half_there else {}
    if half_there:
        put(tmp_path / "tiny", there)

    def interrupt(name: str, done: int, total: int) -> None:
        if name == TEST_LABELS:
            raise KeyboardInterrupt

    with serve(pages(FILES)) as server, pytest.raises(KeyboardInterrupt):
        fetch(named_set(FILES, mirrors=(server.url,)), tmp_path, progress=interrupt)
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")} == (
        {"tiny", f"tiny/{IMAGES}"} if half_there else set()
    )


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "usr", FILES)
    real = module._copy

    def full(named: Any, role: str, path: Path, target: Path | None) -> str:
        if role == ROLES[2]:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(named, role, path, target)

    monkeypatch.setattr(module, "_copy", full)
    named = named_set(FILES, debian=DebianPackage("x", str(tmp_path / "usr")))
    with pytest.raises(RunError, match=r"^no space left on device while fetching tiny to .*root.tiny: "):
        fetch(named, tmp_path / "root")
    assert nothing_left(tmp_path / "root")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_while_downloading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not the mirror's fault: the next one is not asked."""
    monkeypatch.setattr(module.Mirror, "bring", download_to_full)
    with serve(pages(FILES)) as server, pytest.raises(RunError, match=r"^no space left on device while fetching"):
        fetch(named_set(FILES, mirrors=(server.url, server.url)), tmp_path / "root")


def download_to_full(mirror: Any, name: str, limit: int, scratch: Path, real: Any = module.Mirror.bring) -> Path:
    (scratch / f"{name}.gz").symlink_to("/dev/full")
    return real(mirror, name, limit, scratch)


def test_a_root_that_cannot_be_written(tmp_path: Path) -> None:
    """Below a regular file not even root may write."""
    (tmp_path / "file").write_text("not a folder")
    line = refused(fetch, named_set(FILES), tmp_path / "file" / "root")
    assert line.startswith(f"cannot write {tmp_path / 'file'}")
    assert "choose a data.root in which you may write" in line
    assert refused(fetch, named_set(FILES), tmp_path / "file").startswith(f"cannot write {tmp_path / 'file'}")


@pytest.mark.skipif(os.name != "posix" or os.getuid() == 0, reason="root may write everywhere")
def test_a_root_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    try:
        assert "permission denied" in refused(fetch, named_set(FILES), tmp_path)
    finally:
        tmp_path.chmod(0o755)


def test_two_at_once(tmp_path: Path) -> None:
    """The slower of two processes finds the work done."""
    with serve(pages(FILES)) as server:
        named = named_set(FILES, mirrors=(server.url,))

        def overtake(name: str, done: int, total: int) -> None:
            put(tmp_path / "tiny", FILES)

        assert fetch(named, tmp_path, progress=overtake) == tmp_path / "tiny"
    assert holds(tmp_path / "tiny") == FILES
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]


# --- from Debian's package, with programs that behave like apt-get and dpkg-deb


APT = """#!{python}
import pathlib, sys
settings = pathlib.Path(sys.argv[2]).read_text()
assert sys.argv[1] == "-c" and 'APT::Sandbox::User "root";' in settings
own = "Dir::State::lists" in settings
pathlib.Path("{calls}").open("a").write(f"{{sys.argv[3]}} {{'own' if own else 'machine'}}\\n")
if sys.argv[3] == "download" and not (own or {knows}):
    sys.exit("W: something else\\nE: Unable to locate package dataset-tiny")
if sys.argv[3] == "update":
    sys.exit({update})
if {offline}:
    sys.exit("E: Failed to fetch http://mirror.example/x  Could not connect\\nE: Some files failed")
pathlib.Path("dataset-tiny_1.0_all.deb").write_text("a package")
"""
DPKG = """#!{python}
import pathlib, shutil, sys
assert sys.argv[1] == "-x" and pathlib.Path(sys.argv[2]).read_text() == "a package"
shutil.copytree("{files}", pathlib.Path(sys.argv[3]) / "usr/share/tiny")
"""


@pytest.fixture
def debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Makes a machine with apt-get and dpkg-deb; returns what apt-get was called for."""
    files = put(tmp_path / "in-package", FILES, zipped=True)

    def machine(knows: bool = True, update: int = 0, offline: bool = False) -> Path:
        calls, programs = tmp_path / "calls", tmp_path / "bin"
        programs.mkdir()
        fill = {"python": sys.executable, "calls": calls, "knows": knows, "update": update, "offline": offline}
        (programs / "apt-get").write_text(APT.format(**fill))
        (programs / "dpkg-deb").write_text(DPKG.format(files=files, **fill))
        for program in programs.iterdir():
            program.chmod(0o755)
        monkeypatch.setenv("PATH", str(programs))
        return calls

    return machine


PACKAGE = DebianPackage("dataset-tiny", "/usr/share/tiny")


@pytest.mark.parametrize(
    ("machine", "calls"),
    [
        ({}, ["download machine"]),
        ({"knows": False}, ["download machine", "update own", "download own"]),
        ({"knows": False, "update": 100}, ["download machine", "update own", "download own"]),
    ],
)
def test_from_debian(tmp_path: Path, debian: Any, machine: dict[str, Any], calls: list[str]) -> None:
    """The machine's package lists first; where they do not know the package, lists of our own."""
    asked = debian(**machine)
    fetch(named_set(FILES, debian=PACKAGE), tmp_path / "root")
    assert holds(tmp_path / "root" / "tiny") == FILES
    assert asked.read_text().splitlines() == calls


def test_debian_out_of_reach(tmp_path: Path, debian: Any, lines: list[str]) -> None:
    debian(offline=True)
    refused(fetch, named_set(FILES, debian=PACKAGE), tmp_path / "root", lines.append)
    failure = "apt-get: Failed to fetch http://mirror.example/x  Could not connect"
    assert lines[-1] == f"Debian package dataset-tiny did not work: {failure}"
    assert nothing_left(tmp_path / "root")


@pytest.mark.skipif(shutil.which("apt-config") is None, reason="this is not a Debian machine")
def test_apt_understands_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real apt reads them last: own lists and caches, no sandbox user, no hook of the machine's."""
    hooks = ("Pre-Invoke", "Post-Invoke", "Post-Invoke-Success")
    (tmp_path / "hooks").write_text("".join(f'APT::Update::{hook} {{ "false"; }};\n' for hook in hooks))
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "hooks"))
    settings = module._write_settings(tmp_path, module._APT + module._OWN_LISTS)
    dump = subprocess.run(["apt-config", "-c", settings, "dump"], capture_output=True, text=True, check=True).stdout
    assert f'Dir::State::lists "{tmp_path}/lists";' in dump
    assert f'Dir::Cache "{tmp_path}/cache";' in dump
    assert 'APT::Sandbox::User "root";' in dump
    assert not re.search(r"APT::Update::(Pre|Post)-Invoke[^: ]*::", dump)


def test_apt_get_is_not_waited_for_forever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "apt-get").write_text(f"#!{sys.executable}\nimport time; time.sleep(20)\n")
    (tmp_path / "apt-get").chmod(0o755)
    shutil.copy(tmp_path / "apt-get", tmp_path / "dpkg-deb")
    monkeypatch.setenv("PATH", str(tmp_path))
    start = time.perf_counter()
    line = refused(module.Debian(PACKAGE, patience=0.1).bring, IMAGES, 100, tmp_path)
    assert "took longer than 0.1 s" in line
    assert time.perf_counter() - start < 5


# --- the descriptions


@pytest.mark.parametrize("name", [name for name, named in NAMED.items() if not named.drawn])
def test_the_descriptions_are_complete(name: str) -> None:
    named = find(name)
    assert named.name == name
    assert tuple(named.files) == ROLES
    assert len(named.classes) == 10
    assert named.size("test_labels") == 8 + named.counts[1]
    assert all(url.endswith("/") for url in named.mirrors)
    assert all(recognise(file.sha256) == (name, file.name) for file in named.files.values())


def test_an_unknown_name() -> None:
    assert "did you mean `fashion-mnist`?" in refused(find, "FashionMNIST")
    assert "There are fashion-mnist, mnist, sample" in refused(find, "imagenet")


def test_listing_is_instant() -> None:
    """The descriptions come without torch, numpy or pooch, and fetching without torch."""
    check = (
        "import sys, vaescope.data.sources; assert not {'torch', 'numpy', 'pooch'} & set(sys.modules);"
        "import vaescope.data.fetch; assert not {'torch', 'pooch'} & set(sys.modules)"
    )
    assert os.spawnv(os.P_WAIT, sys.executable, [sys.executable, "-c", check]) == 0
