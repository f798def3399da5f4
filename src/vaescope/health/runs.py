"""A run folder: whether everything in it is whole and belongs together, and how to go on with it."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from vaescope import checkpoint, config, evaluation, pictures
from vaescope.config import Config
from vaescope.data.batches import Batches
from vaescope.data.fetch import present
from vaescope.data.images import OWN as IDX
from vaescope.data.images import ImageSet
from vaescope.data.sources import NAMED
from vaescope.engine import processor
from vaescope.errors import UsageError, one_line
from vaescope.files import alone
from vaescope.files import leftovers as left_in
from vaescope.health.finding import Check, Finding, fault, note, ok, size, warning
from vaescope.health.lines import Lines, metrics
from vaescope.health.machine import room
from vaescope.history import DECISIVE, concluded, moved, read_history
from vaescope.run import Run, read_arrays

MARKS = ("config.yaml", "metrics.jsonl", "checkpoints", "history.jsonl")
"""What a run folder has from the beginning, of which one may be lost."""


def is_run(folder: Path) -> bool:
    """Whether this is a run folder, be it a damaged one."""
    return (folder / MARKS[0]).is_file() or sum((folder / mark).exists() for mark in MARKS) > 1


def runs_in(folder: Path) -> list[Path]:
    """The run folders in a folder."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and is_run(path)) if folder.is_dir() else []


@dataclass(frozen=True)
class RunFolder:
    """What is in a run folder, read piece by piece: what cannot be read is an error with the piece, not with all.

    Args:
        folder: The folder.
    """

    folder: Path

    @cached_property
    def settings(self) -> Config | UsageError:
        """Its config, or what is wrong with it."""
        if isinstance(self.run, Run):
            return self.run.config
        if not (self.folder / "config.yaml").is_file():
            return UsageError("there is no config.yaml")
        try:
            return config.read(self.folder / "config.yaml")
        except UsageError as error:
            return error

    @cached_property
    def run(self) -> Run | UsageError | None:
        """The trained model, or what is wrong with it; nothing if there are no weights yet."""
        if not (self.folder / "model.safetensors").is_file():
            return None
        try:
            return Run.load(self.folder)
        except UsageError as error:
            return error

    @cached_property
    def lines(self) -> Lines:
        """Its metrics."""
        return Lines.read(self.folder / "metrics.jsonl")

    @cached_property
    def live(self) -> bool:
        """Whether a process is training it now."""
        if not (self.folder / ".lock").exists():
            return False
        try:
            with alone(self.folder):
                return False
        except UsageError:
            return True
        except OSError:  # of a folder that may only be read, which nobody trains
            return False

    @cached_property
    def states(self) -> dict[int, UsageError | OSError | None]:
        """Its checkpoints by their steps, each with what is wrong with it, if anything is."""
        found: dict[int, UsageError | OSError | None] = {}
        for path in checkpoint.all_of(self.folder / "checkpoints"):
            try:
                checkpoint.verify(path)
                found[checkpoint.step_of(path)] = None
            except (UsageError, OSError) as error:
                found[checkpoint.step_of(path)] = error
        return dict(sorted(found.items()))

    @cached_property
    def newest(self) -> int:
        """The step of the newest good checkpoint; 0 if there is none."""
        return max((step for step, wrong in self.states.items() if not wrong), default=0)

    @property
    def newest_path(self) -> Path:
        """That checkpoint."""
        return next(p for p in checkpoint.all_of(self.folder / "checkpoints") if checkpoint.step_of(p) == self.newest)

    @cached_property
    def record(self) -> dict[str, Any]:
        """What that checkpoint says of itself beside its tensors."""
        return checkpoint.read_state(self.newest_path) if self.newest else {}

    @property
    def finished(self) -> bool:
        """Whether it came to its end."""
        whole = self.lines.scored and (self.folder / "model.safetensors").is_file()
        return whole and concluded(read_history(self.folder))

    @property
    def out_of_reach(self) -> list[UsageError | OSError]:
        """What is wrong with checkpoints that are of another version, or may not be read: they are not lost."""
        lasting = (checkpoint.FormatError, PermissionError)
        return [wrong for wrong in self.states.values() if isinstance(wrong, lasting)]

    @property
    def command(self) -> str:
        """The command that goes on with it."""
        return f"vaescope train --resume {shlex.quote(str(self.folder))}"

    @property
    def word(self) -> str:
        """Its path as a word of a command line."""
        return shlex.quote(str(self.folder))


def run_checks(folder: Path) -> list[Check]:
    """What there is to look at of a run folder."""
    there = RunFolder(folder)
    every = 1 if isinstance(there.settings, UsageError) else there.settings.trainer.log_every
    looks = {
        "standing": standing,
        "config": settings,
        "weights": weights,
        "latents": latents,
        "metrics": lambda run: metrics(run.lines, every, run.newest, run.live),
        "checkpoints": checkpoints,
        "data": data,
        "figures": figures,
        "evaluation": measured,
        "versions": versions,
        "leftovers": leftovers,
        "room": space,
    }
    return [Check(name, partial(look, there)) for name, look in looks.items()]


def standing(run: RunFolder) -> Iterator[Finding]:
    """How far it is, and how to go on."""
    history = read_history(run.folder)
    steps, total = max([run.newest, *run.lines.steps("train")]), run.record.get("total")
    of = f" of {total:,}" if isinstance(total, int) else ""
    if run.live:
        process = next((line.get("process") for line in reversed(history)), None)
        yield note(f"a process{f' ({process})' if process else ''} is training it now, at step {steps:,}{of} or later")
    elif run.finished:
        outcome = run.run.origin.outcome if isinstance(run.run, Run) else "finished"
        yield ok(f"{outcome or 'finished'} at step {steps:,}{of}")
    elif history and history[-1].get("event") == "broke down":
        remedy = f"{run.command} --trainer.back_off 0.5 goes on with lower learning rates" if run.newest else ""
        text = one_line(str(history[-1].get("finding") or f"training broke down at step {history[-1].get('step')}"))
        yield fault(text, remedy or "train anew with a lower trainer.optimizer.init_args.lr")
    elif run.newest:
        yield note(f"interrupted; the newest good checkpoint is of step {run.newest:,}{of}", run.command)
    elif run.out_of_reach:
        yield note(f"interrupted at step {steps:,} or later", f"see to the checkpoints, then {run.command}")
    elif run.states:
        remedy = f"delete the folder checkpoints; {run.command} then begins it anew"
        yield note(f"interrupted at step {steps:,} or later; no checkpoint is good", remedy)
    else:
        yield note("cut off before the first checkpoint", f"{run.command} begins it anew")


def settings(run: RunFolder) -> Iterator[Finding]:
    """Whether the config can be read."""
    if isinstance(run.settings, UsageError):
        remedy = "put config.yaml back as it was: it is that of `vaescope train --config`, with every key written out"
        yield fault(str(run.settings), remedy)
        return
    yield ok(f"{type(run.settings.model).__name__}, {run.settings.objective}, seed {run.settings.seed}")


def weights(run: RunFolder) -> Iterator[Finding]:
    """Whether the weights can be read, fit to the config, and are numbers."""
    again = f"delete it, then {run.command}" if run.newest else "train anew: no good checkpoint is left"
    if run.run is None or isinstance(run.settings, UsageError):
        why = (
            "config.yaml cannot be read" if isinstance(run.settings, UsageError) else "the run has not come to its end"
        )
        yield note(f"no weights are looked at: {why}")
        return
    if isinstance(run.run, UsageError):
        yield fault(str(run.run), again)
        return
    endless = [name for name, value in run.run.model.state_dict().items() if not value.isfinite().all()]
    if endless:
        yield fault(f"{len(endless)} tensors hold values that are no numbers, the first of them {endless[0]}", again)
    else:
        shape, loss = "x".join(map(str, run.run.shape)), run.run.loss
        yield ok(f"of {shape} images, of step {run.run.step:,}, validation loss {loss:.1f} nats per image")


def latents(run: RunFolder) -> Iterator[Finding]:
    """What training has warned of."""
    if not isinstance(run.run, Run):
        return
    for text in run.run.origin.warnings:
        said, _, remedy = text.partition("; try ")
        yield warning(said, f"try {remedy}" if remedy else "see docs/grammar.md, when latents carry nothing")
    if run.run.origin.latents and not run.run.origin.warnings:
        yield ok(run.run.origin.latents)


def checkpoints(run: RunFolder) -> Iterator[Finding]:
    """Whether the checkpoints are as they were written."""
    good = [step for step, wrong in run.states.items() if not wrong]
    for wrong in run.out_of_reach[-1:]:  # what helps one helps all
        readable = f"chmod -R u+rwX {run.word}, or have its owner do that"
        other = f"vaescope migrate {run.word}, or a newer vaescope if that does not read it"
        yield warning(one_line(wrong), other if isinstance(wrong, checkpoint.FormatError) else readable)
    for wrong in (wrong for wrong in run.states.values() if wrong and wrong not in run.out_of_reach):
        if good:
            yield warning(one_line(wrong), f"delete it: --resume takes that of step {run.newest:,}")
        else:
            yield (warning if run.finished else fault)(one_line(wrong), "delete it: it is of no use to anybody")
    if good:
        listed = ", ".join(f"{step:,}" for step in good)
        yield ok(f"{len(good)} as they were written, of step{'s'[: len(good) != 1]} {listed}")
    elif not run.states:
        yield note("there are none: the run cannot be gone on with, or be trained longer")


def load_images(run: RunFolder) -> ImageSet | Finding:
    """The images of a run, or why they are not there. Nothing is downloaded."""
    assert not isinstance(run.settings, UsageError)
    asked = run.settings.data
    name, root = asked.name, asked.root.expanduser()
    if name in NAMED and name != IDX and present(NAMED[name], root) is None:
        return warning(
            f"{name} is not in {root}, so the run can be neither gone on with nor evaluated",
            f"vaescope data fetch {name} --root {shlex.quote(str(root))}, or go to the folder of training",
        )
    try:
        return asked.load(lambda line: None)
    except UsageError as error:
        remedy = "put the images back, or set data.root in config.yaml to where they are"
        return warning(f"the images cannot be had: {one_line(error)}", remedy)


def data(run: RunFolder) -> Iterator[Finding]:
    """Whether the images are there, and are those that were trained on."""
    if isinstance(run.settings, UsageError):
        return
    images = load_images(run)
    if isinstance(images, Finding):
        yield images
        return
    remedy = "put the images back as they were, or set data.root in config.yaml to where they are"
    wrong = list(differences(run, images))
    for text in wrong:
        yield fault(text, remedy)
    if not wrong:
        counts = ", ".join(f"{len(split):,} {name}" for name, split in images.splits.items())
        yield ok(f"{images.title}: {counts} images" + (", those of training" if run.record.get("data") else ""))


def differences(run: RunFolder, images: ImageSet) -> Iterator[str]:
    """What of the images is another than in training, in words."""
    if isinstance(run.run, Run):
        if images.shape != run.run.shape:
            yield f"the images have shape {images.shape}, but had {run.run.shape} in training"
            return
        if images.classes != run.run.classes:
            yield f"the images have {len(images.classes)} other classes than in training"
            return
    then = run.run.origin.counts if isinstance(run.run, Run) else {}
    for name, split in images.splits.items():
        if then.get(name, len(split)) != len(split):
            yield f"there are {len(split):,} {name} images, but there were {then[name]:,} in training"
            return
    known = run.record.get("data")
    if known and known != fingerprint(run, images):
        yield "the training images are as many as in training, but others"


def fingerprint(run: RunFolder, images: ImageSet) -> str:
    """The hash of what is trained on, as a checkpoint keeps it."""
    assert not isinstance(run.settings, UsageError)
    kept, cpu = run.settings, torch.device("cpu")
    model = run.run.model if isinstance(run.run, Run) else kept.model(images.shape, images.labelled)
    context = model.context(images.train.labels)
    held = kept.data.held(images.train.images, cpu)
    return Batches(held, kept.data.target, kept.trainer.batch_size, kept.seed, context, cpu).fingerprint


def figures(run: RunFolder) -> Iterator[Finding]:
    """Whether the pictures are there."""
    if not isinstance(run.run, Run):
        return
    frames = (run.folder / "frames.npz").is_file()
    try:
        read_arrays(run.folder / "frames.npz")
    except UsageError as error:
        yield warning(str(error), f"delete it and run `vaescope figures {run.word}`, which draws without animations")
    moving = [name for name in pictures.CAPTIONS if name.endswith(".gif")]
    left_out = {*([] if frames else moving), *([] if run.run.model.classes else ["classes.png"])}
    wanted = [name for name in pictures.CAPTIONS if name not in left_out]
    absent = [name for name in wanted if not nonempty(run.folder / "figures" / name)]
    if absent:
        yield note(f"{len(absent)} pictures are missing: {', '.join(absent)}", f"vaescope figures {run.word}")
    else:
        yield ok(f"all {len(wanted)} pictures")


def nonempty(path: Path) -> bool:
    """Whether a file is there and holds something."""
    return path.is_file() and path.stat().st_size > 0


def measured(run: RunFolder) -> Iterator[Finding]:
    """Whether what was measured can be read, and is of these weights."""
    if not isinstance(run.run, Run):
        return
    if not (run.folder / evaluation.FILE).is_file():
        yield note("it has not been evaluated", f"vaescope evaluate {run.word}")
        return
    try:
        known = evaluation.load(run.folder)
    except UsageError as error:
        remedy = f"delete {evaluation.FILE} and {evaluation.EACH}, then vaescope evaluate {run.word}"
        yield fault(str(error), remedy)
        return
    if not evaluation.load_kept(run.run).metrics:
        yield warning(f"{evaluation.FILE} is of other weights", f"vaescope evaluate {run.word} measures these")
    else:
        yield ok(f"{len(known.metrics)} metrics of these weights")


def versions(run: RunFolder) -> Iterator[Finding]:
    """Whether this is where the run was trained, so that it goes on to the last digit."""
    if isinstance(run.settings, UsageError):
        return
    device = run.settings.trainer.find_device()
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    here = (torch.__version__, processor(), torch.get_num_threads(), name, metadata.version("numpy"))
    changes = moved(read_history(run.folder), dict(zip(DECISIVE, here, strict=True)))
    if changes:
        remedy = "go on where it was trained, if last digits matter (OMP_NUM_THREADS sets the threads)"
        yield note(f"it was trained elsewhere: {'; '.join(changes)}", "" if run.finished else remedy)
    else:
        yield ok("trained with these versions, on this kind of machine")


def leftovers(run: RunFolder) -> Iterator[Finding]:
    """What a process that was killed has left behind."""
    found = [] if run.live else left_in(run.folder)
    if found:
        files = [file for path in found for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file()]
        text = f"{len(found)} left behind by a crash, {size(sum(file.stat().st_size for file in files))}: "
        names = ", ".join(path.name for path in found[:3]) + (" ..." if len(found) > 3 else "")
        yield note(text + names, "delete them" if run.finished else "--resume deletes them")


def space(run: RunFolder) -> Iterator[Finding]:
    """Whether there is room for going on, and permission."""
    if run.finished:
        return
    found = room(f"the disk of {run.folder}", run.folder, f"move the run to another disk, then {run.command}")
    if found.level != "ok" or not run.newest or isinstance(run.settings, UsageError):
        yield found
        return
    each = sum(file.stat().st_size for file in run.newest_path.iterdir())
    yield ok(f"{found.text}; a checkpoint takes {size(each)}, of which {run.settings.trainer.keep} are kept")
