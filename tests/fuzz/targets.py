"""What is fuzzed: every file that vaescope reads, by the function that reads it, with valid ones to start from.

A target has a folder of its own, its home, in which its seeds put whatever else the reader needs; the bytes to be tried
are one file in it.
"""

import gzip
import io
import json
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load, save

from vaescope import checkpoint, config, evaluation, experiment, pictures
from vaescope.comparison import compare
from vaescope.data import images, sprites
from vaescope.data.asked import asked
from vaescope.data.cache import Division, open_entry, prepared
from vaescope.data.idx import format_idx, read_idx
from vaescope.data.own import open_source
from vaescope.data.own.remembered import digests
from vaescope.data.pixels import Form, decode, look
from vaescope.data.rows import chunks
from vaescope.data.survey import remembered_survey, survey
from vaescope.engine import precision
from vaescope.files import cache_folder
from vaescope.history import DECISIVE, moved, read_history
from vaescope.metrics import features
from vaescope.migration import migrate
from vaescope.observers import Checkpointer, MetricsLog, Recorder, read_lines
from vaescope.report.page import report_html
from vaescope.request import look_at, parser
from vaescope.run import Run, read_arrays
from vaescope.training import State

Seeds = Callable[[Path, Path], list[bytes]]
"""Makes a home ready, given a finished run, and gives valid files."""

FORM = Form(8, 8, 1)


@dataclass(frozen=True)
class Target:
    """Something that reads files.

    Args:
        file: The name of the file below the home.
        seeds: Valid files; see :data:`Seeds`.
        read: Reads the file, given the home.
        pack: Makes the file of the bytes that are tried, to get behind checksums and compression.
    """

    file: str
    seeds: Seeds
    read: Callable[[Path], object]
    pack: Callable[[bytes], bytes] = bytes

    def at(self, home: Path, data: bytes) -> Callable[[], object]:
        """Puts bytes into the home, and gives what reads them."""
        (home / self.file).write_bytes(self.pack(data))
        return partial(self.read, home)


# Images

GREY = np.random.default_rng(0).integers(0, 256, (4, 9, 8), dtype=np.uint8)
LABELS = np.array([0, 1, 0, 1], np.uint8)


def own(home: Path, file: str) -> None:
    """Everything that is done with a user's own images, up to the pixels."""
    source = open_source(home / file)
    found = survey(source)
    look_at(found, {})
    assert source.learned is not None
    source.fingerprint()
    for _ in asked(source, FORM, skip_bad=True):
        pass


def idx_set(home: Path) -> None:
    """The four files of a user's own set."""
    describe(home)


def describe(home: Path) -> object:
    return images.describe(images.load("idx", home))


def idx_seeds(home: Path, run: Path) -> list[bytes]:
    (home / "train-images-idx3-ubyte").write_bytes(format_idx(GREY))
    (home / "train-labels-idx1-ubyte").write_bytes(format_idx(LABELS))
    (home / "t10k-images-idx3-ubyte").write_bytes(format_idx(GREY))
    return [format_idx(GREY), format_idx(LABELS), format_idx(GREY.astype(np.float32) / 255), format_idx(GREY[:, None])]


def label_seeds(home: Path, run: Path) -> list[bytes]:
    return [format_idx(LABELS), *idx_seeds(home, run)]


def zipped_seeds(home: Path, run: Path) -> list[bytes]:
    return [gzip.compress(data, mtime=0) for data in idx_seeds(home, run)]


def npy(array: np.ndarray, fortran: bool = False) -> bytes:
    out = io.BytesIO()
    np.save(out, np.asfortranarray(array) if fortran else array, allow_pickle=True)
    return out.getvalue()


def npy_seeds(home: Path, run: Path) -> list[bytes]:
    kinds = [GREY, GREY / 255, GREY > 9, GREY.astype(np.int32), GREY[..., None].repeat(3, -1), GREY[0], LABELS]
    return [*map(npy, kinds), npy(GREY, True), npy(np.array([{"a": 1}] * 4, object)), npy(np.array(["a", "b"]))]


def label_array_seeds(home: Path, run: Path) -> list[bytes]:
    return [npy(LABELS), npy(np.array(["a", "b", "a", "b"])), *npy_seeds(home, run)]


def npz(**arrays: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.savez_compressed(out, **arrays)  # type: ignore[arg-type]
    return out.getvalue()


def npz_seeds(home: Path, run: Path) -> list[bytes]:
    stored = io.BytesIO()
    np.savez(stored, x=GREY, y=LABELS)
    split = npz(x_train=GREY, y_train=LABELS, x_test=GREY, y_test=np.array(["a", "b", "a", "b"]))
    return [npz(images=GREY, labels=LABELS), split, stored.getvalue(), npz(a=GREY)]


def as_npz(data: bytes) -> bytes:
    """An archive of two arrays, of which one is anything."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", data)
        archive.writestr("labels.npy", npy(LABELS))
    return out.getvalue()


def as_labels(data: bytes) -> bytes:
    """The same with anything as labels."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", npy(GREY))
        archive.writestr("labels.npy", data)
    return out.getvalue()


def drawn(home: Path) -> None:
    """The file of the set that is drawn here."""
    sprites.read(home / "sprites.npz")


def sprite_seeds(home: Path, run: Path) -> list[bytes]:
    return [npz(imgs=GREY, latents_classes=np.zeros((4, 6), np.int64))]


MODES = {
    "png": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "jpeg": ("L", "RGB", "CMYK"),
    "tiff": ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F"),
    "webp": ("RGB", "RGBA"),
    "bmp": ("1", "L", "P", "RGB"),
    "gif": ("L", "P"),
}


def picture_seeds(kind: str, home: Path, run: Path) -> list[bytes]:
    return list(pictures_of(kind))


def pictures_of(kind: str) -> Iterator[bytes]:
    """Pictures of one format in every mode that it has, and some of its peculiarities."""
    colours = Image.fromarray(np.random.default_rng(1).integers(0, 256, (12, 10, 3), dtype=np.uint8))
    for mode in MODES[kind]:
        grey = colours.convert("L")
        picture = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257) if mode == "I;16" else colours.convert(mode)
        yield written(picture, kind)
    exif = Image.Exif()
    exif[0x0112] = 6
    peculiar: dict[str, list[dict]] = {
        "png": [{"exif": exif}, {"transparency": (1, 2, 3)}],
        "jpeg": [{"exif": exif}, {"progressive": True}],
        "tiff": [{"compression": name} for name in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg")],
        "webp": [{"lossless": True}, {"exif": exif}],
        "bmp": [],
        "gif": [{"save_all": True, "append_images": [colours.convert("P")]}],
    }
    for options in peculiar[kind]:
        yield written(colours.convert("P") if kind == "gif" else colours, kind, **options)


def written(picture: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def with_checksums(data: bytes) -> bytes:
    """A PNG whose chunks have the right checksums."""
    out, place = bytearray(data[:8]), 8
    while len(head := data[place : place + 8]) == 8:
        length = struct.unpack(">I", head[:4])[0]
        body = data[place + 4 : place + 8 + length]
        out += head[:4] + body + struct.pack(">I", zlib.crc32(body))
        place += 12 + length
    return bytes(out)


def picture(home: Path) -> None:
    """One picture: what it says of itself, and its pixels in four forms."""
    for content in (home / "picture", (home / "picture").read_bytes()):
        seen = look(content, "picture")
        decode(content, Form(seen.height, seen.width, seen.channels, seen.bits, "exact"), "picture")
        decode(content, Form(8, 8, 4, 16, "pad"), "picture")
        decode(content, FORM, "picture")


def parquet_seeds(home: Path, run: Path) -> list[bytes]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    found = list(pictures_of("png"))[:4]
    tables = [
        pa.table({"image": found, "label": [0, 1, 0, 1]}),
        pa.table({"image": [{"bytes": data, "path": None} for data in found], "label": ["a", "b", "a", None]}),
    ]
    named = {"info": {"features": {"label": {"names": ["cat", "dog"]}}}}
    tables.append(tables[0].replace_schema_metadata({"huggingface": json.dumps(named)}))
    return [_parquet(pq, table) for table in tables]


def _parquet(pq: object, table: object) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, compression="NONE")  # type: ignore[attr-defined]
    return out.getvalue()


# What is kept of decoded images


def entry_seeds(file: str, home: Path, run: Path) -> list[bytes]:
    """An entry of the cache."""
    np.savez(home / "own.npz", images=GREY, labels=LABELS)
    shutil.rmtree(home / "entry", ignore_errors=True)
    made = prepared(open_source(home / "own.npz"), FORM, Division(), False, home / "cache", print_nothing)
    shutil.copytree(made, home / "entry")
    return [(home / "entry" / file).read_bytes()]


def print_nothing(line: str) -> None:
    pass


def entry(home: Path) -> None:
    """All that is read of an entry of the cache."""
    found = open_entry(home / "entry")
    for split in found.splits.values():
        assert all(isinstance(name, str) for name in split.names())
        for _ in chunks(split.images):
            pass
    images.describe(found)


def survey_seeds(home: Path, run: Path) -> list[bytes]:
    """What is remembered of a survey, put where it would be remembered."""
    np.save(home / "own.npy", GREY)
    remembered_survey(open_source(home / "own.npy"))
    (found,) = (cache_folder() / "surveys").glob("*.json")
    data = found.read_bytes()
    found.unlink()
    found.symlink_to(home / "memory.json")
    return [data]


def remembered(home: Path) -> None:
    """A survey that is remembered."""
    found = remembered_survey(open_source(home / "own.npy"))
    look_at(found, {})


def known_seeds(home: Path, run: Path) -> list[bytes]:
    """What is remembered of files."""
    (home / "pictures").mkdir(exist_ok=True)
    for k, data in enumerate(pictures_of("bmp")):
        (home / "pictures" / f"{k}.bmp").write_bytes(data)
    return [json.dumps({f"{k}.bmp": [[1, 2, 3, 4], "digest"] for k in range(4)}).encode()]


def known(home: Path) -> None:
    """Digests of files that are remembered."""
    from vaescope.data.own.remembered import Remembered

    folder = home / "pictures"
    facts = Remembered(folder, "files").path
    facts.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(home / "known.json", facts)
    found = digests(folder, {path.name: path for path in sorted(folder.iterdir())})
    assert all(isinstance(digest, str) for digest in found.values())


def precision_seeds(home: Path, run: Path) -> list[bytes]:
    return [json.dumps({precision.machine(): {"linear": 1.0, "convolution": 1.5}, "other": {}}).encode()]


def measured_precision(home: Path) -> None:
    """The speed that is remembered of this machine."""
    assert all(isinstance(found, dict) for found in precision._read(home / "precision.json").values())


# Configs


def config_seeds(home: Path, run: Path) -> list[bytes]:
    others = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))
    return [(run / "config.yaml").read_bytes(), *(path.read_bytes() for path in others[:6])]


def yaml_file(home: Path) -> None:
    """A config as keys and values, with the classes that it names."""
    config.check_content(config.load_yaml(home / "config.yaml"))


def words(home: Path) -> None:
    """Words of a command line, one a line."""
    text = (home / "words").read_bytes().decode("utf-8", "surrogateescape").replace("\0", "")
    made = parser()
    given = [word for word in text.split("\n") if not word.startswith(("-h", "--h", "--print", "--vers"))]
    config.build(made, config.parse(made, given))


def word_seeds(home: Path, run: Path) -> list[bytes]:
    (home / "config.yaml").write_bytes((run / "config.yaml").read_bytes())
    lines = [
        ["--trainer.epochs", "3", "--model.network", "Conv", "--model.network.channels", "8"],
        ["--model", '{"class_path": "Flat", "init_args": {"latent": 3}}', "--seed=3"],
        ["--trainer.optimizer.class_path", "torch.optim.SGD", "--trainer.optimizer.init_args.lr", "0.1"],
        ["--objective=IWAE", "--objective.samples", "5", "--data.size", "[8, 8]", "--data.without", "[a, b]"],
    ]
    return ["\n".join(line).encode() for line in lines]


# Runs


def run_seeds(file: str, home: Path, run: Path) -> list[bytes]:
    """A run folder."""
    shutil.copytree(run, home / "run", dirs_exist_ok=True)
    return [(home / "run" / file).read_bytes()]


def loaded(home: Path) -> None:
    """A run that is loaded and said."""
    run = Run.load(home / "run")
    repr(run)
    run.decode(np.zeros((1, run.model.prior.latent), np.float32), None if not run.model.classes else [0])


def header_seeds(home: Path, run: Path) -> list[bytes]:
    from safetensors import safe_open

    run_seeds("model.safetensors", home, run)
    with safe_open(run / "model.safetensors", "pt") as file:
        return [file.metadata()["vaescope"].encode()]


def with_header(home: Path) -> None:
    """The weights of a run with anything as what they are for."""
    text = (home / "header").read_bytes().decode("utf-8", "replace")
    weights = weights_of(home / "run" / "best.bin")
    (home / "run" / "model.safetensors").write_bytes(save(weights, {"vaescope": text}))
    loaded(home)


@cache
def weights_of(path: Path) -> dict[str, torch.Tensor]:
    """Some weights, and a copy of them that nobody overwrites."""
    if not path.exists():
        shutil.copyfile(path.with_name("model.safetensors"), path)
    return load(path.read_bytes())


def lines(home: Path) -> None:
    """The course of training, as a report and a comparison read it."""
    read_lines(home / "run" / "metrics.jsonl")
    str(compare([home / "run", home / "other"]))
    report_html(known_run(home / "run"))


@cache
def known_run(folder: Path) -> Run:
    return Run.load(folder)


def without_evaluation(home: Path, run: Path) -> list[bytes]:
    """Two runs."""
    shutil.copytree(run, home / "other", dirs_exist_ok=True)
    found = run_seeds("metrics.jsonl", home, run)
    known_run(home / "run")
    return found


def evaluation_seeds(file: str, home: Path, run: Path) -> list[bytes]:
    """A run with an evaluation, and another one."""
    without_evaluation(home, run)
    evaluation.evaluate(known_run(home / "run"), ["elbo"], evaluation.QUICK)
    shutil.copytree(home / "run", home / "other", dirs_exist_ok=True)
    return [(home / "run" / file).read_bytes()]


def evaluated(home: Path) -> None:
    """What was measured of a run, as tables, a report and a comparison."""
    found = evaluation.load(home / "run")
    str(found)
    found._repr_html_()
    json.dumps(found.record())
    str(compare([home / "run", home / "other"]))
    report_html(known_run(home / "run"))


def frames(home: Path) -> None:
    """The frames of the animations, up to where they are drawn."""
    found = read_arrays(home / "run" / "frames.npz")
    if found:
        pictures.captions(found["numbers"])
        z = found["latents"].astype(np.float32)
        pictures.projection(z[-1])(z)


def feature_seeds(home: Path, run: Path) -> list[bytes]:
    model = features.Classifier(1, 28, 10)
    features.save_classifier(home / "features.safetensors", model, "tiny", "a note")
    return [(home / "features.safetensors").read_bytes()]


def feature_set(home: Path) -> None:
    """A classifier of the cache."""
    features.read_classifier(home / "features.safetensors").extract(torch.zeros(2, 1, 28, 28))


# Checkpoints


@cache
def state_of(home: Path) -> tuple[State, Checkpointer]:
    """A state that can be restored, as an experiment makes it."""
    settings = config.read(home / "run" / "config.yaml")
    found = settings.data.load()
    state = experiment.begin(settings, found, torch.device("cpu"))
    shown = experiment.validation_examples(state.model, settings.data.target, found)
    recorder = Recorder(6, shown[:10], shown[:4], settings.data.target)
    log = MetricsLog(home / "metrics.jsonl", 50)
    return state, Checkpointer(home / "checkpoints", 3, [log, recorder])


def checkpoint_seeds(file: str, home: Path, run: Path) -> list[bytes]:
    """A checkpoint; nearly all of the bytes of its tensors are left as they are."""
    run_seeds("config.yaml", home, run)
    (found,) = checkpoint.all_of(run / "checkpoints")
    shutil.copytree(found, home / "step-000001", dirs_exist_ok=True)
    return [(home / "step-000001" / file).read_bytes()]


def restored(home: Path) -> None:
    """A state that goes on from a checkpoint whose hashes are right: whoever means harm can count, too."""
    state, keeper = state_of(home)
    checkpoint.seal(home / "step-000001")
    keeper.restore(home / "step-000001", state)


def verified(home: Path) -> None:
    """A checkpoint with anything as its hashes."""
    checkpoint.verify(home / "step-000001")


def past(home: Path) -> None:
    """The history of a run."""
    moved(read_history(home / "run"), dict.fromkeys(DECISIVE, ""))


def past_seeds(home: Path, run: Path) -> list[bytes]:
    return run_seeds("history.jsonl", home, run)


def older_seeds(file: str, home: Path, run: Path) -> list[bytes]:
    """A run of an older version."""
    (home / "older").mkdir(exist_ok=True)
    shutil.copytree(run, home / "older", dirs_exist_ok=True)
    (found,) = checkpoint.all_of(home / "older" / "checkpoints")
    record = json.loads((found / "state.json").read_text()) | {"format": 1}
    (found / "state.json").write_text(json.dumps(record))
    (found / "SHA256SUMS").unlink()
    shutil.copytree(found, home / "format-1", dirs_exist_ok=True)
    return [(home / "format-1" / file).read_bytes()]


def migrated(home: Path) -> None:
    """A run of an older version, brought up to date."""
    (found,) = checkpoint.all_of(home / "older" / "checkpoints")
    shutil.rmtree(found)
    shutil.copytree(home / "format-1", found)
    migrate(home / "older")


def tensor_seeds(home: Path, run: Path) -> list[bytes]:
    small = {"a": torch.zeros(2, 3), "b": torch.arange(4), "c": torch.tensor(1.0), "d": torch.zeros(0)}
    return [save(small), save({"a": torch.zeros(1)}, {"vaescope": "{}"}), save({})]


def tensors(home: Path) -> None:
    """Tensors."""
    for value in checkpoint.load_tensors(home / "file.safetensors").values():
        value.float().sum()


def _of_checkpoint(file: str) -> Target:
    return Target(f"step-000001/{file}", partial(checkpoint_seeds, file), restored)


def _own(file: str, seeds: Seeds, pack: Callable[[bytes], bytes] = bytes) -> Target:
    return Target(file, seeds, partial(own, file=file), pack)


def _idx(home: Path) -> None:
    read_idx(home / "train-images-idx3-ubyte")
    own(home, "train-images-idx3-ubyte")


TARGETS: dict[str, Target] = {
    "idx": Target("train-images-idx3-ubyte", idx_seeds, _idx),
    "idx-gz": Target("train-images-idx3-ubyte", zipped_seeds, _idx),
    "idx-set": Target("train-images-idx3-ubyte", idx_seeds, idx_set),
    "idx-labels": Target("train-labels-idx1-ubyte", label_seeds, idx_set),
    "npy": _own("own.npy", npy_seeds),
    "npz": _own("own.npz", npz_seeds),
    "npz-images": _own("own.npz", npy_seeds, as_npz),
    "npz-labels": _own("own.npz", label_array_seeds, as_labels),
    "sprites": Target("sprites.npz", sprite_seeds, drawn),
    **{kind: Target("picture", partial(picture_seeds, kind), picture) for kind in MODES},
    "png-inside": Target("picture", partial(picture_seeds, "png"), picture, with_checksums),
    **({"parquet": _own("own.parquet", parquet_seeds)} if find_spec("pyarrow") else {}),
    "entry": Target("entry/entry.json", partial(entry_seeds, "entry.json"), entry),
    "entry-images": Target("entry/train.npy", partial(entry_seeds, "train.npy"), entry),
    "entry-labels": Target("entry/train.labels.npy", partial(entry_seeds, "train.labels.npy"), entry),
    "entry-names": Target("entry/train.names", partial(entry_seeds, "train.names"), entry),
    "survey": Target("memory.json", survey_seeds, remembered),
    "known": Target("known.json", known_seeds, known),
    "precision": Target("precision.json", precision_seeds, measured_precision),
    "yaml": Target("config.yaml", config_seeds, yaml_file),
    "config": Target("config.yaml", config_seeds, lambda home: config.read(home / "config.yaml")),
    "words": Target("words", word_seeds, words),
    "run-config": Target("run/config.yaml", partial(run_seeds, "config.yaml"), loaded),
    "run-weights": Target("run/model.safetensors", partial(run_seeds, "model.safetensors"), loaded),
    "run-header": Target("header", header_seeds, with_header),
    "metrics": Target("run/metrics.jsonl", without_evaluation, lines),
    "evaluation": Target("run/evaluation.json", partial(evaluation_seeds, "evaluation.json"), evaluated),
    "evaluation-each": Target("run/evaluation.npz", partial(evaluation_seeds, "evaluation.npz"), evaluated),
    "frames": Target("run/frames.npz", partial(run_seeds, "frames.npz"), frames),
    "features": Target("features.safetensors", feature_seeds, feature_set),
    "tensors": Target("file.safetensors", tensor_seeds, tensors),
    "history": Target("run/history.jsonl", past_seeds, past),
    "migrate": Target("format-1/state.json", partial(older_seeds, "state.json"), migrated),
    "checkpoint-sums": Target("step-000001/SHA256SUMS", partial(checkpoint_seeds, "SHA256SUMS"), verified),
    "checkpoint-metrics": _of_checkpoint("metrics.safetensors"),
    "checkpoint-state": _of_checkpoint("state.json"),
    "checkpoint-weights": _of_checkpoint("model.safetensors"),
    "checkpoint-optimizer": _of_checkpoint("optimizer-0.safetensors"),
    "checkpoint-random": _of_checkpoint("random.safetensors"),
    "checkpoint-frames": _of_checkpoint("frames.safetensors"),
}
"""All targets by name."""
