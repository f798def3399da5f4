"""``vaescope export``, ``push`` and ``pull``: how a model leaves, and how one arrives."""

from collections.abc import Sequence
from pathlib import Path

from vaescope.cli.options import Parser, report, writing
from vaescope.terminal import say


def export(words: Sequence[str]) -> int:
    """Runs ``vaescope export``."""
    made = Parser(
        "Write a trained model as two programs that need no vaescope: an encoder, from greys in [0, 1] to latents,\n"
        "and a decoder, from latents to greys in [0, 1]. Both take batches of any size. Each is read again and\n"
        "compared with the model on real images; if any number differs by more than 1e-4, nothing is written.\n\n"
        "onnx   encoder.onnx and decoder.onnx, for onnxruntime, browsers, phones\n"
        "torch  encoder.pt2 and decoder.pt2, for torch.export.load. These hold no pickle, but torch.export.load\n"
        "       unpickles what a file asks it to: load only files that you trust",
        "vaescope export runs/main --format onnx",
        "vaescope export",
    )
    made.add_argument("run", type=Path, help="the run folder")
    made.add_argument("--format", choices=("onnx", "torch"), default="onnx", help="the format (onnx)")
    made.add_argument(
        "-o", "--out", type=Path, help="the folder to write: a new one, or that of an export (RUN/export)"
    )
    asked = made.parse_args(words)
    from vaescope.export import export as export_run
    from vaescope.run import Run

    run = Run.load(asked.run)
    out = asked.out or run.folder / "export"
    with writing(out):
        left = export_run(run, out, asked.format, report)
    report(f"compared with the model on {left.images}")
    for path, differences in zip(left.files, left.differences, strict=True):
        far = ", ".join(f"{name} {difference:.1e}" for name, difference in differences.items())
        say(f"{path}  largest difference: {far}")
    return 0


def push(words: Sequence[str]) -> int:
    """Runs ``vaescope push``."""
    made = Parser(
        "Upload a run to the Hugging Face Hub, in one commit: config.yaml, model.safetensors, README.md,\n"
        "metrics.jsonl, evaluation.json and figures/; neither checkpoints nor frames.npz.\n"
        "Log in first: `hf auth login`, or HF_TOKEN.",
        "vaescope push runs/main user/name --private",
        "vaescope push",
    )
    made.add_argument("run", type=Path, help="the run folder")
    made.add_argument("repository", help="user/name; made if it is not there")
    made.add_argument("--private", action="store_true", help="let nobody else see it")
    made.add_argument("--message", help="what the commit is called")
    asked = made.parse_args(words)
    from vaescope.hub import push as push_run

    say(push_run(asked.run, asked.repository, asked.private, asked.message, report=report))
    return 0


def pull(words: Sequence[str]) -> int:
    """Runs ``vaescope pull``."""
    made = Parser(
        "Download a run from the Hugging Face Hub. Only the files that `vaescope push` uploads are fetched, none is\n"
        "executed, and the run is kept only if it loads.",
        "vaescope pull user/name -o runs/theirs",
        "vaescope pull",
    )
    made.add_argument("repository", help="user/name")
    made.add_argument("-o", "--out", type=Path, help="the run folder to make (runs/NAME)")
    asked = made.parse_args(words)
    from vaescope.hub import pull as pull_run

    out = asked.out or Path("runs") / asked.repository.rsplit("/", 1)[-1]
    with writing(out):
        say(pull_run(asked.repository, out, report=report).folder)
    return 0
