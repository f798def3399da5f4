"""Nothing that a file says makes vaescope run code, leave a folder, hang or fill the memory: it ends in one line."""

import ast
import gzip
import inspect
import io
import json
import math
import pickle
import struct
import sys
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load, save

from tests.data_helpers import refused
from tests.fuzz.judge import MEMORY, Acts, judge
from tests.fuzz.targets import FORM, GREY, npy, npz, own, with_checksums
from vaescope import config, evaluation, hub
from vaescope.checkpoint import load_tensors
from vaescope.choices import KINDS, components
from vaescope.data import sprites
from vaescope.data.idx import read_idx
from vaescope.data.own import open_source, stored
from vaescope.data.pixels import decode
from vaescope.errors import LONGEST, RunError, UsageError
from vaescope.observers import read_lines
from vaescope.request import parser
from vaescope.run import Run, read_arrays

SOURCE = Path(__file__).parents[1] / "src" / "vaescope"


@pytest.fixture(scope="module")
def acts(tmp_path_factory: pytest.TempPathFactory) -> Acts:
    """What is done while a file is read."""
    return Acts(tmp_path_factory.getbasetemp())


def told(read: Callable[[], object], acts: Acts, most: float = 5.0) -> str:
    """The line with which something is refused that may take neither long, nor much memory, nor do anything."""
    begun = time.monotonic()
    verdict = judge(read, acts)
    assert not verdict.wrong, f"{verdict.way}\n{verdict.wrong}"
    assert time.monotonic() - begun < most
    return refused(read)


# Nothing is unpickled


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """The calls in a file, with the names of what is called."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


@pytest.mark.parametrize("file", sorted(SOURCE.rglob("*.py")), ids=lambda file: str(file.relative_to(SOURCE)))
def test_nothing_in_the_package_unpickles_or_evaluates(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    modules = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    modules |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not modules & {"pickle", "cPickle", "dill", "joblib", "cloudpickle", "shelve", "marshal"}
    for name, call in calls(tree):
        keys = {key.arg: ast.unparse(key.value) for key in call.keywords}
        assert name not in ("eval", "exec", "compile", "torch.load", "torch.jit.load", "yaml.load", "yaml.unsafe_load")
        assert name != "shutil.unpack_archive"
        assert not name.endswith(".extractall")
        if name in ("np.load", "np.save", "numpy.load"):
            assert keys.get("allow_pickle") == "False", f"line {call.lineno}"


class Trap:
    """What touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


READERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "npy": ("", lambda path: own(path.parent, path.name)),
    "npz": ("images", lambda path: own(path.parent, path.name)),
    "labels": ("labels", lambda path: own(path.parent, path.name)),
    "sprites": ("imgs", sprites.read),
    "factors": ("latents_classes", sprites.read),
    "frames": ("latents", read_arrays),
    "evaluation": ("elbo.rate", evaluation._each),
}
"""The arrays of a file, and who reads it."""


@pytest.mark.parametrize("name", READERS)
def test_a_pickle_in_an_array_is_refused_and_not_run(name: str, tmp_path: Path, acts: Acts) -> None:
    key, read = READERS[name]
    trapped = np.full(4 if name == "labels" else GREY.shape, None, object)
    trapped.flat[0] = Trap(tmp_path / "run")
    path = tmp_path / "file"
    others = {"imgs": GREY, "latents_classes": GREY} if read is sprites.read else {"images": GREY}
    path.write_bytes(npz(**others | {key: trapped}) if key else npy(trapped))
    line = told(lambda: read(path), acts)
    assert "object" in line.lower() or "list of labels" in line
    assert not (tmp_path / "run").exists()
    pickle.loads(pickle.dumps(trapped))  # noqa: S301
    assert (tmp_path / "run").exists(), "the trap is none"


# Nothing leaves its folder

LEAVING = ("../out.npy", "/tmp/out.npy", "images/../../out.npy", "C:\\out.npy", "..\\out.npy", "figures/../../x.png")


@pytest.mark.parametrize("member", LEAVING)
def test_no_member_of_an_archive_leaves_its_folder(member: str, tmp_path: Path, acts: Acts) -> None:
    path = tmp_path / "inner" / "file.npz"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, npy(GREY))
    verdict = judge(lambda: own(path.parent, path.name), acts)
    assert not verdict.wrong
    assert [found.name for found in tmp_path.rglob("*") if found.is_file()] == ["file.npz"]


@pytest.mark.parametrize(
    "name", ["../config.yaml", "/config.yaml", "figures/../x.png", "figures/.x.png", "figures/a/b.png", "config.yaml\n",
             "figures/x.html", "figures\\x.png", "figures/x.png/../../y.png", "checkpoints/x", "x/config.yaml"]
)  # fmt: skip
def test_no_file_of_a_repository_leaves_its_folder(name: str) -> None:
    sizes = {"config.yaml": 1, "model.safetensors": 1}
    assert hub.listed("a/b", sizes | {name: 1}) == sorted(sizes)


# A config names no module but ours


@pytest.fixture
def canary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A module ``canary`` that writes a file when it is imported."""
    (tmp_path / "canary.py").write_text(
        "from pathlib import Path\nfrom vaescope.nets import MLP\n"
        f"Path({str(tmp_path / 'sung')!r}).touch()\nclass Sings(MLP): pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path / "sung"
    assert "canary" not in sys.modules, "a module was imported"
    assert not (tmp_path / "sung").exists()


PLACES = (
    "model", "objective", "data", "trainer", "engine", "figures", "seed", "class_path", "data.root", "data.cache",
    "data.without", "model.init_args.network", "model.init_args.prior", "model.init_args.posterior",
    "model.init_args.likelihood", "model.init_args.network.init_args.width", "model.init_args.latent",
    "model.dict_kwargs.network", "trainer.optimizer", "trainer.optimizer.init_args.lr", "trainer.schedule",
    "trainer.optimizer.init_args.params", "objective.init_args.warmup",
)  # fmt: skip
STRANGE = ("canary.Sings", "os.system", "subprocess.Popen", "torch.optim.../../x", "tests.fuzz.targets.Target")


def specs(name: str) -> list[Any]:
    """All ways in which a config may name a class."""
    spec = {"class_path": name}
    return [
        name,
        spec,
        spec | {"init_args": {"args": ["true"]}},
        [spec],
        {"x": spec},
        {"__path__": name},
        {"a": [{"b": spec}]},
    ]


@pytest.mark.parametrize("place", PLACES)
def test_a_config_imports_nothing_that_is_not_there_to_choose(place: str, canary: Path, tmp_path: Path) -> None:
    for content in [*specs("canary.Sings"), *STRANGE[1:]]:
        for key in reversed(place.split(".")):
            content = {key: content}
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(content))
        if not place.startswith("data.") or isinstance(content["data"][place[5:]], dict):
            refused(config.read, tmp_path / "config.yaml")


ENDINGS = ("", ".class_path", ".init_args", ".help", ".dict_kwargs", "+", ".__path__", ".init_args.network")


@pytest.mark.parametrize("ending", ENDINGS)
def test_no_option_imports_anything_either(ending: str, canary: Path, tmp_path: Path) -> None:
    made = parser()
    for key in ("model", "data", "trainer.optimizer"):
        for value in ("canary.Sings", "network: canary.Sings", '{"class_path": "canary.Sings"}'):
            refused(config.parse, made, [f"--{key}{ending}={value}"])
    refused(config.parse, made, [f"--model{ending}", "canary.Sings"])


def test_an_option_without_a_key_is_refused() -> None:
    for word in ("--class_path", "--init_args.x", "--.class_path", "--=", "--model..class_path", "--help.class_path"):
        refused(config.parse, parser(), [word, "os.system"])


def test_every_argument_that_may_be_a_class_is_checked_as_one() -> None:
    """What jsonargparse would import something for is one of the keys that are looked up first."""
    named = {kind.__name__ for kind in KINDS.values()} | {"Callable", "type"}
    for component in components().values():
        for parameter in inspect.signature(component).parameters.values():
            words = set("".join(c if c.isalnum() else " " for c in str(parameter.annotation)).split())
            if parameter.name not in ("shape", "params") and words & named:
                assert parameter.name in KINDS, f"{component.__name__}.{parameter.name}: {parameter.annotation}"


LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 9)}]\n" for k in range(1, 30))
DOCUMENTS = {
    "tag": "model: !!python/object/apply:os.system [id]\n",
    "name": "model: !!python/name:os.system\n",
    "laughs": LAUGHS,
    "laughs below": "data:\n" + "".join(f"  {line}\n" for line in LAUGHS.splitlines()),
    "itself": "data: &a\n  root: *a\n",
    "deep": "data: " + "[" * 3000,
    "deep keys": "".join(" " * k + "a:\n" for k in range(3000)),
    "long number": "seed: " + "9" * 5000,
    "no date": "seed: 2001-99-99\n",
    "no text": "\x00\x01",
    "list as key": "? [a]\n: b\n",
    "many": "data:\n" + "".join(f"  k{k}: 1\n" for k in range(11_000)),
    "number": "seed: 0x" + "f" * 10_000,
    "sixty": "seed: " + ":".join(["59"] * 3000),
}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_document_that_is_a_trap_ends_in_one_line(document: str, tmp_path: Path, acts: Acts) -> None:
    (tmp_path / "config.yaml").write_text(DOCUMENTS[document])
    told(lambda: config.read(tmp_path / "config.yaml"), acts, most=20.0)


# Headers of safetensors


def tensors(header: object, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def one(dtype: str = "F32", shape: object = (1,), offsets: object = (0, 4)) -> dict[str, Any]:
    return {"a": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}


HEADERS = {
    "huge length": tensors(one(), b"1234", 2**63),
    "longer than the file": tensors(one(), b"1234", 10_000),
    "no length": b"\x01",
    "nothing": b"",
    "no json": tensors(b"{nothing"),
    "a list": tensors([1, 2]),
    "deep": tensors(b'{"a":' * 50_000),
    "no dtype": tensors(one("X99"), b"1234"),
    "small dtype": tensors(one("F4"), b"1234"),
    "beyond the end": tensors(one(offsets=(0, 10**12)), b"1234"),
    "backwards": tensors(one(offsets=(4, 0)), b"1234"),
    "huge shape": tensors(one(shape=(10**9, 10**9)), b"1234"),
    "overflow": tensors(one(shape=(2**63, 2**63)), b"1234"),
    "negative": tensors(one(shape=(-1,)), b"1234"),
    "no number": tensors(one(shape=("x",)), b"1234"),
    "overlapping": tensors(one() | {"b": one()["a"]}, b"1234"),
    "a gap": tensors({"a": one()["a"], "b": one(offsets=(8, 12))["a"]}, bytes(12)),
    "too much": tensors(one(), bytes(400)),
    "twice": tensors(b'{"a":%b,"a":%b}' % ((json.dumps(one()["a"]).encode(),) * 2), bytes(8)),
    "metadata": tensors({"__metadata__": {"x": 1}} | one(), b"1234"),
}


@pytest.mark.parametrize("header", HEADERS)
def test_headers_of_tensors_that_lie(header: str, tmp_path: Path, acts: Acts) -> None:
    (tmp_path / "file.safetensors").write_bytes(HEADERS[header])
    told(lambda: load_tensors(tmp_path / "file.safetensors"), acts)


def run_with(run: Path, place: Path, header: str, settings: Callable[[dict[str, Any]], None] = dict.clear) -> Path:
    """A copy of a run with another header, and another config if one is made."""
    place.mkdir()
    content = yaml.safe_load((run / "config.yaml").read_text())
    if settings is not dict.clear:
        settings(content)
    (place / "config.yaml").write_text(yaml.safe_dump(content))
    weights = load((run / "model.safetensors").read_bytes())
    (place / "model.safetensors").write_bytes(save(weights, {"vaescope": header}))
    return place


def header_of(run: Path, **others: Any) -> str:
    from safetensors import safe_open

    with safe_open(run / "model.safetensors", "pt") as file:
        header = json.loads(file.metadata()["vaescope"])
    del header["hash"]  # which would tell at once that the rest is forged
    return json.dumps(header | others)


FALSE: dict[str, dict[str, Any]] = {
    "large": {"shape": [1, 10**9, 10**9]},
    "wide": {"shape": [1, 1, 10**6]},
    "beyond": {"shape": [1, 10**30, 1]},
    "nan": {"shape": [1, math.nan, 28]},
    "infinite": {"shape": [math.inf, 28, 28]},
    "none": {"shape": []},
    "negative": {"shape": [1, -28, 28]},
    "empty": {"shape": [0, 28, 28]},
    "text": {"shape": "abc"},
    "step": {"step": math.inf},
    "loss": {"loss": "low"},
    "classes": {"classes": 7},
    "format": {"format": [1]},
    "counts": {"counts": [1]},
}


@pytest.mark.parametrize("false", FALSE)
def test_headers_of_runs_that_lie(false: str, run_folder: Path, tmp_path: Path, acts: Acts) -> None:
    folder = run_with(run_folder, tmp_path / "run", header_of(run_folder, **FALSE[false]))
    told(lambda: Run.load(folder), acts)


@pytest.mark.parametrize("text", ["", "{", "[]", "1", '{"format": 1}', '{"format": 2}', "[" * 100_000, "9" * 5000])
def test_headers_of_runs_that_are_none(text: str, run_folder: Path, tmp_path: Path, acts: Acts) -> None:
    told(lambda: Run.load(run_with(run_folder, tmp_path / str(time.time_ns()), text)), acts)


def test_a_loss_that_is_no_number_keeps_nothing_from_being_read(run_folder: Path, tmp_path: Path) -> None:
    folder = run_with(run_folder, tmp_path / "run", header_of(run_folder, loss=math.nan))
    assert math.isnan(Run.load(folder).loss)


@pytest.mark.slow
@pytest.mark.parametrize(("key", "value"), [("width", 10**9), ("width", 4000), ("encoder_blocks", 2000)])
def test_no_model_is_built_that_is_larger_than_its_weights(
    key: str, value: int, run_folder: Path, tmp_path: Path, acts: Acts
) -> None:
    def settings(content: dict[str, Any]) -> None:
        content["model"]["init_args"]["network"]["init_args"][key] = value

    folder = run_with(run_folder, tmp_path / "run", header_of(run_folder), settings)
    assert "does not fit" in told(lambda: Run.load(folder), acts, most=20.0)


# Bombs


def png(height: int, width: int, kind: int, data: bytes) -> bytes:
    """A PNG that promises so many pixels of 8 bits."""
    head = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", data), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(struct.pack(">I", len(d)) + n + d + bytes(4) for n, d in chunks)


def blank(height: int, width: int) -> bytes:
    """The compressed bytes of black pixels in four channels."""
    work, row = zlib.compressobj(9), bytes(4 * width + 1)
    return b"".join(work.compress(row) for _ in range(height)) + work.flush()


def test_a_picture_that_is_a_bomb_is_not_decoded(acts: Acts) -> None:
    bomb = with_checksums(png(9000, 9000, 6, blank(2250, 9000)))  # a quarter of it is enough
    assert len(bomb) < 100_000
    assert "can only be a blank" in told(lambda: decode(bomb, FORM, "bomb"), acts)
    assert "promises" in told(lambda: decode(with_checksums(png(2**31 - 1, 2**31 - 1, 6, b"")), FORM, "bomb"), acts)


def test_a_large_picture_is_decoded() -> None:
    out = io.BytesIO()
    Image.effect_noise((5000, 4000), 50).save(out, "JPEG")
    assert decode(out.getvalue(), FORM, "it").shape == (1, 8, 8)


def as_member(shape: tuple[int, ...], dtype: str, size: int) -> bytes:
    """An archive with an array that promises a shape, and holds so many zeros."""
    out, head = io.BytesIO(), io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": dtype, "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("images.npy", "w") as file:
        file.write(head.getvalue())
        for _ in range(size >> 20):
            file.write(bytes(1 << 20))
    return out.getvalue()


@pytest.mark.parametrize(("shape", "size"), [((3, 4000, 4000, 4), 1 << 20), ((1, 2000, 1000, 4), 64 << 20)])
def test_an_archive_that_is_a_bomb_is_not_unpacked(
    shape: tuple[int, ...], size: int, tmp_path: Path, acts: Acts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "ROOM", 16 << 20)  # to pack what is larger than the true one takes a second
    (tmp_path / "x.npz").write_bytes(as_member(shape, "<f8", size))
    told(lambda: open_source(tmp_path / "x.npz"), acts)
    told(lambda: read_arrays(tmp_path / "x.npz"), acts)


def test_small_files_that_promise_much_take_no_memory(tmp_path: Path, acts: Acts) -> None:
    header = {"descr": "|u1", "fortran_order": False, "shape": (10**6, 1000, 1000)}
    array = io.BytesIO()
    np.lib.format.write_array_header_1_0(array, header)
    idx = b"\0\0\x08\x03" + struct.pack(">3I", 2**32 - 1, 2**16, 2**16)
    for data in (array.getvalue(), idx, gzip.compress(idx), idx + bytes(40)):
        (tmp_path / "file").write_bytes(data)
        told(lambda: open_source(tmp_path / "file"), acts)


@pytest.mark.slow
def test_an_idx_file_is_unzipped_no_further_than_it_promises(tmp_path: Path, acts: Acts) -> None:
    (tmp_path / "file").write_bytes(gzip.compress(b"\0\0\x08\x01" + struct.pack(">I", 5) + bytes(MEMORY)))
    assert "too long" in told(lambda: read_idx(tmp_path / "file"), acts, most=20.0)


# Metrics


@pytest.mark.parametrize("value", [["x", 1], [[1]], [None], [{}]])
def test_what_is_said_of_each_latent_is_a_number(value: object, tmp_path: Path, acts: Acts) -> None:
    line = {"step": 1, "split": "validation", "distortion": 1.0, "kl_per_latent": value}
    (tmp_path / "metrics.jsonl").write_text(json.dumps(line) + "\n")
    assert "is damaged" in told(lambda: read_lines(tmp_path / "metrics.jsonl"), acts)


@pytest.mark.parametrize("key", ["step", "distortion", "rate", "seconds"])
def test_what_pages_and_pictures_count_with_is_a_number(key: str, tmp_path: Path, acts: Acts) -> None:
    for value in ("soon", 10**400):
        line = {"step": 1, "split": "validation", "distortion": 1.0, key: value}
        (tmp_path / "metrics.jsonl").write_text(json.dumps(line) + "\n")
        assert "is damaged" in told(lambda: read_lines(tmp_path / "metrics.jsonl"), acts)


@pytest.mark.parametrize("text", ["[" * 100_000, "9" * 5000, "\udcff", '{"step": 1e999}', "null"])
def test_lines_that_are_none(text: str, tmp_path: Path, acts: Acts) -> None:
    (tmp_path / "metrics.jsonl").write_bytes(text.encode(errors="surrogateescape") + b"\n")
    assert "is damaged" in told(lambda: read_lines(tmp_path / "metrics.jsonl"), acts)


# Messages


@pytest.mark.parametrize("kind", [UsageError, RunError])
def test_a_message_is_one_line_that_a_terminal_shows_as_it_is(kind: type[Exception]) -> None:
    assert str(kind("a\nb\tc")) == "a b c"
    assert str(kind("\x1b[2J \u202e \udcff")) == "\\x1b[2J \\u202e \\xff"
    assert str(kind("Ünïcode 画像")) == "Ünïcode 画像"
    assert len(str(kind("x" * 10**6))) <= LONGEST


def test_torch_makes_no_more_than_goes_with_the_weights() -> None:
    from vaescope.models.within import LEAST, Within

    with Within({}):
        assert torch.nn.Linear(10, 10).weight.shape == (10, 10)
    with pytest.raises(ValueError, match="far larger"), Within({}):
        torch.empty(LEAST)
