"""The hub: what goes up comes down, nothing else does, and every refusal is one line.

The real `huggingface_hub` speaks here to a server on this machine that knows the few calls it makes.
"""

import base64
import hashlib
import json
import re
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from data_helpers import refused

from vaescope.card import plain
from vaescope.cli import main
from vaescope.errors import RunError
from vaescope.hub import NEEDED, TRAVELS, pull, push
from vaescope.run import Run

hub = pytest.importorskip("huggingface_hub", reason="needs the extra hub")
SHA = "a" * 40


class FakeHub(ThreadingHTTPServer):
    """Repositories as files by name, and what was asked for."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, bool] = {}
        self.commits: list[dict[str, Any]] = []
        self.refusal: tuple[int, str] | None = None
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Answers(BaseHTTPRequestHandler):
    server: FakeHub
    protocol_version = "HTTP/1.1"

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def tell(self, status: int, **said: Any) -> None:
        self.answer(status, json.dumps(said).encode(), Content_Type="application/json")

    def refuse(self, status: int, code: str) -> None:
        self.answer(status, b"{}", X_Error_Code=code, X_Error_Message=code)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append(f"POST {self.path}")
        if self.path == "/api/validate-yaml":
            return self.tell(200, errors=[], warnings=[])
        if not self.headers.get("Authorization"):
            return self.refuse(401, "")
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}"
            there = name in self.server.repositories
            self.server.repositories.setdefault(name, {})
            self.server.private.setdefault(name, asked.get("visibility") == "private" or bool(asked.get("private")))
            return self.tell(409 if there else 200, url=f"{self.server.url}/{name}")
        found = re.fullmatch(r"/api/models/([^/]+/[^/]+)/(preupload|commit)/main", self.path)
        assert found, self.path
        if found[2] == "preupload":
            modes = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                for file in json.loads(body)["files"]
            ]
            return self.tell(200, files=modes)
        lines = [json.loads(line) for line in body.splitlines()]
        self.server.commits.append(lines[0]["value"])
        for line in lines[1:]:
            self.server.repositories[found[1]][line["value"]["path"]] = base64.b64decode(line["value"]["content"])
        return self.tell(200, commitUrl=f"{self.server.url}/{found[1]}/commit/{SHA}", commitOid=SHA)

    def do_GET(self) -> None:
        self.server.asked.append(f"{self.command} {self.path}")
        if self.server.refusal:
            return self.refuse(*self.server.refusal)
        if found := re.fullmatch(r"/api/models/([^/]+/[^/?]+)(\?.*)?", self.path):
            files = self.server.repositories.get(found[1])
            if files is None:
                return self.refuse(404, "RepoNotFound")
            listed = [{"rfilename": name, "size": len(data)} for name, data in files.items()]
            return self.tell(200, id=found[1], sha=SHA, private=self.server.private.get(found[1]), siblings=listed)
        found = re.fullmatch(rf"/([^/]+/[^/]+)/resolve/{SHA}/(.+)", self.path)
        assert found, self.path
        data = self.server.repositories[found[1]][found[2]]
        return self.answer(200, data, ETag=f'"{hashlib.sha1(data).hexdigest()}"', X_Repo_Commit=SHA)

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    monkeypatch.setenv("HF_TOKEN", "hf_of_no_one")
    with FakeHub() as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.fixture
def full(server: FakeHub, run_folder: Path) -> FakeHub:
    """A hub that holds the run as ada/tiny."""
    server.repositories["ada/tiny"] = {
        name: data for name, data in files(run_folder).items() if TRAVELS.fullmatch(name)
    }
    server.private["ada/tiny"] = False
    return server


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


LEFT = ("checkpoints/", "frames", "history", ".lock")
"""What a run keeps to itself."""


def test_what_goes_up_comes_down_as_it_was(
    server: FakeHub, run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(run_folder, "ada/tiny", endpoint=server.url)
    cache = tmp_path / "cache"
    monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", str(cache))
    run = pull("ada/tiny", tmp_path / "runs" / "theirs", endpoint=server.url)
    kept = {name: data for name, data in files(run_folder).items() if not name.startswith(LEFT)}
    assert files(run.folder) == server.repositories["ada/tiny"] == kept
    assert set(NEEDED) | {"README.md", "metrics.jsonl", "figures/samples.png"} <= set(kept)
    assert not any(path.is_symlink() for path in run.folder.rglob("*"))
    assert not cache.exists()
    assert [path.name for path in run.folder.parent.iterdir()] == ["theirs"]
    z = torch.zeros(1, 2)
    ours, theirs = (r.model.likelihood(z).mean for r in (Run.load(run_folder), run))
    assert torch.equal(ours, theirs)


def test_a_push_is_one_commit_with_a_message(server: FakeHub, run_folder: Path) -> None:
    push(run_folder, "ada/tiny", endpoint=server.url)
    push(run_folder, "ada/tiny", message="better", endpoint=server.url)
    assert [commit["summary"] for commit in server.commits] == ["The run tiny", "better"]


def test_names_are_no_markup_in_a_card() -> None:
    assert plain("photos 2024") == "photos 2024"
    assert plain("a|b\n_c_ [x](y) <img> `$&`") == r"a\|b \_c\_ \[x\](y) \<img\> \`\$\&\`"


def test_the_card_is_one_that_the_hub_reads(run_folder: Path) -> None:
    card = hub.ModelCard((run_folder / "README.md").read_text())
    assert card.data.library_name == "vaescope"
    assert "vae" in card.data.tags
    assert card.data.license is None
    assert str(run_folder.parent) not in card.text  # nothing of this machine


def test_only_files_of_a_run_come_down(full: FakeHub, tmp_path: Path) -> None:
    hostile = {
        "../escaped.png": b"x",
        "figures/../../escaped.png": b"x",
        "figures/.hidden.png": b"x",
        "/tmp/escaped.png": b"x",
        "figures/a\\..\\b.png": b"x",
        "model.pkl": b"x",
        "pytorch_model.bin": b"x",
        "vaescope.py": b"raise SystemExit",
        "checkpoints/step-000001/state.json": b"x",
        "README.md\n": b"x",
    }
    full.repositories["ada/tiny"] |= hostile
    full.asked.clear()
    run = pull("ada/tiny", tmp_path / "a" / "b" / "run", endpoint=full.url)
    assert not set(hostile) & set(files(run.folder))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a"]
    asked = {line.split(f"{SHA}/")[1] for line in full.asked if SHA in line}
    assert all(TRAVELS.fullmatch(name) for name in asked)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("model.safetensors", b"\x80\x04garbage", "model.safetensors cannot be read"),
        ("config.yaml", b"model: os.system\n", "there is no model os.system"),
        ("config.yaml", b"model: {class_path: Flat, init_args: {latent: 3}}\n", "does not fit"),
        ("config.yaml", b"model: {class_path: Flat, init_args: {latent: 100000000000}}\n", "not kept"),
        ("metrics.jsonl", b"0" * 100_000_001, "no file of a run"),
    ],
)
def test_a_run_that_does_not_load_is_not_kept(
    name: str, content: bytes, says: str, full: FakeHub, tmp_path: Path
) -> None:
    full.repositories["ada/tiny"][name] = content
    said = refused(pull, "ada/tiny", tmp_path / "run", endpoint=full.url)
    assert says in said
    assert str(tmp_path) not in said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("refusal", "says"),
    [
        ((401, "RepoNotFound"), "there is no model repository ada/tiny"),
        ((404, "RepoNotFound"), "there is no model repository ada/tiny"),
        ((403, "GatedRepo"), "gated"),
        ((403, ""), "does not let you"),
    ],
)
def test_what_the_hub_refuses_is_one_line(refusal: tuple[int, str], says: str, server: FakeHub, tmp_path: Path) -> None:
    server.refusal = refusal
    assert says in refused(pull, "ada/tiny", tmp_path / "run", endpoint=server.url)
    assert not list(tmp_path.iterdir())


def test_mistakes_are_told_before_anything_is_asked(server: FakeHub, run_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    assert "is there already" in refused(pull, "ada/tiny", tmp_path / "taken", endpoint=server.url)
    assert "user/name" in refused(pull, "../../etc", tmp_path / "run", endpoint=server.url)
    assert "user/name" in refused(push, run_folder, "a/b/c", endpoint=server.url)
    assert "no run folder" in refused(push, tmp_path, "ada/tiny", endpoint=server.url)
    assert server.asked == []


def test_a_repository_without_a_run_is_refused(server: FakeHub, tmp_path: Path) -> None:
    server.repositories["ada/other"] = {"README.md": b"", "pytorch_model.bin": b""}
    assert "holds no config.yaml" in refused(pull, "ada/other", tmp_path / "run", endpoint=server.url)


def test_nothing_private_goes_to_what_all_can_see(full: FakeHub, run_folder: Path) -> None:
    assert "everyone can see it" in refused(push, run_folder, "ada/tiny", private=True, endpoint=full.url)
    assert not full.commits
    push(run_folder, "ada/secret", private=True, endpoint=full.url)
    assert full.private == {"ada/tiny": False, "ada/secret": True}


def test_who_is_not_logged_in_cannot_push(
    server: FakeHub, run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(hub.constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    assert "hf auth login" in refused(push, run_folder, "ada/tiny", endpoint=server.url)


def test_no_network_is_one_line(run_folder: Path, tmp_path: Path) -> None:
    with FakeHub() as gone:
        nowhere = gone.url
    for act in (lambda: pull("ada/tiny", tmp_path / "run", nowhere), lambda: push(run_folder, "a/b", endpoint=nowhere)):
        with pytest.raises(RunError, match="cannot be reached") as caught:
            act()
        assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_the_verbs_push_and_pull(
    server: FakeHub,
    run_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(hub.constants, "ENDPOINT", server.url)  # as HF_ENDPOINT does, when the library is imported
    monkeypatch.setattr(hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    shutil.copytree(run_folder, "mine")
    assert main(["push", "mine", "ada/tiny", "--private", "--message", "first"]) == 0
    assert main(["pull", "ada/tiny"]) == 0
    said = capsys.readouterr()
    assert said.out.splitlines() == [f"{server.url}/ada/tiny", "runs/tiny"]
    assert main(["sample", "runs/tiny", "-n", "4", "-o", "a.npz"]) == 0
    assert main(["pull", "ada/tiny"]) == 2
    assert capsys.readouterr().err.startswith("vaescope: runs/tiny is there already")
