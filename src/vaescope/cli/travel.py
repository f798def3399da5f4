"""``vaescope export``: how a model leaves."""

from collections.abc import Sequence
from pathlib import Path

from vaescope.cli.options import Parser, report, writing


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
        print(f"{path}  largest difference: {far}")
    return 0
