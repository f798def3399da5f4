"""An experiment: from a config to a run folder that holds all that came of it."""

import errno
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vaescope import __version__, checkpoint, pictures
from vaescope.card import write_card
from vaescope.clock import Clock
from vaescope.collapse import Doctor, findings, in_words, ready
from vaescope.config import CHANGEABLE, Config, differences
from vaescope.data.batches import Batches
from vaescope.data.examples import Examples
from vaescope.data.fetch import Progress, Report, log
from vaescope.data.images import ImageSet
from vaescope.data.rows import chunks
from vaescope.data.targets import Target
from vaescope.errors import RunError, UsageError, one_line
from vaescope.explorer import FILE, write_explorer
from vaescope.families import PixelLevels
from vaescope.files import alone, atomic_file, atomic_folder, remove_leftovers
from vaescope.history import concluded, environment, moved, note, note_start, read_history
from vaescope.metrics import Bound, accuracy, bits_per_dim, examine, negative_elbo, of_labels
from vaescope.models import VAE, SemiVAE
from vaescope.objectives import Adversarial, Objective, Terms, schedules_of
from vaescope.observers import Checkpointer, MetricsLog, Recorder, read_lines, write_lines
from vaescope.run import FORMAT, Origin, Run, machine, make_scene, validation_examples
from vaescope.streams import stream
from vaescope.summary import Summary
from vaescope.training import (
    BackOff,
    Breakdown,
    Observer,
    Outcome,
    Player,
    State,
    Trainer,
    fit,
    put,
    retrace,
    with_back_off,
)

MOST_SHOWN = 1000
"""Training images that a model is shown before the first step, for it to start near them."""

MOST_FOLLOWED = 200_000
"""Latents in a frame of the animation at most: with 72 frames of half precision these are 29 MB."""


def check_likelihood(model: VAE, target: Target, name: str) -> None:
    """Refuses targets that the likelihood cannot score.

    Args:
        model: The model.
        target: What of the images it is to explain.
        name: The name of the target in the config.

    Raises:
        UsageError: If the values leave the likelihood's support, if binary values are to be scored by a density, or
            if there is none.
    """
    family = model.likelihood.family
    kind = type(family).__name__
    low, high = target.interval
    if family.degenerate:
        raise UsageError(f"the likelihood {kind} has no density: use Bernoulli for binary targets, Gaussian for others")
    if family.support == "unit interval" and (low < 0 or high > 1):
        raise UsageError(
            f"the likelihood {kind} scores values in [0, 1], but data.targets {name} gives [{low:g}, {high:g}]: "
            f"set data.targets to {'grey' if family.density else 'binary or grey'}, or the likelihood to Gaussian"
        )
    if family.density and target.discrete:
        raise UsageError(
            f"the likelihood {kind} is a density of real values, but data.targets {name} gives only {low:g} and "
            f"{high:g}, which it could fit without bound: set data.targets to grey, or the likelihood to Bernoulli"
        )
    if isinstance(family, PixelLevels):
        check_levels(family, target, name)


def check_levels(family: PixelLevels, target: Target, name: str) -> None:
    """Refuses targets with other levels than those of the likelihood.

    Args:
        family: The likelihood.
        target: What of the images it is to explain.
        name: The name of the target in the config.

    Raises:
        UsageError: If they do not agree.
    """
    has = f"the likelihood {type(family).__name__} scores {family.levels} levels in [0, 1], but data.targets {name} has"
    low, high = target.interval
    if target.discrete:
        raise UsageError(f"{has} {low:g} and {high:g}: set data.targets to grey, or the likelihood to Bernoulli")
    if (low, high) != (0, 1):
        raise UsageError(f"{has} values in [{low:g}, {high:g}]: set data.targets to grey")
    if target.levels != family.levels:
        bits = target.levels.bit_length() - 1
        raise UsageError(f"{has} {target.levels}: set model.likelihood.bits to {bits}")


def check_schedules(settings: Config, total: int) -> None:
    """Refuses a run that is too short for one of its schedules to run its course.

    Args:
        settings: The config.
        total: The number of steps of the run.

    Raises:
        UsageError: If there is such a schedule.
    """
    for part in ("objective", "trainer"):
        for name, schedule in schedules_of(getattr(settings, part), part):
            if schedule.shortest > total:
                course = ", ".join(f"{n} {key}" for key, n in vars(schedule).items() if type(n) is int) or "course"
                raise UsageError(
                    f"{name} {type(schedule).__name__} needs at least {schedule.shortest:,} steps for its {course}, "
                    f"but the run has {total:,}: train longer (trainer.epochs, trainer.steps), or take another one"
                )


def train(
    settings: Config,
    config_text: str,
    folder: Path,
    resume: bool = False,
    observers: Sequence[Observer] = (),
    report: Report = log,
    progress: Progress | None = None,
    interrupted: Callable[[], bool] = lambda: False,
) -> Summary:
    """Trains a model as a config says, and leaves everything in a run folder.

    Args:
        settings: The config.
        config_text: The same as YAML, to keep in the folder.
        folder: The run folder. It must not exist unless the run is resumed.
        resume: Whether to go on from the newest good checkpoint in the folder, or from the beginning if it holds none.
        observers: Who is shown the run besides those that write the folder.
        report: Is told in one line what is being done.
        progress: Is told how far a download is.
        interrupted: Is asked after every step whether to stop there.

    Raises:
        UsageError: If the config, the data or the folder do not allow it, or another process trains this run.
        RunError: If training breaks down or the disk is full.
    """
    if not resume:
        check_new(folder)
    device = settings.trainer.find_device()
    images = settings.data.load(report, progress)
    target = settings.data.target
    state = begin(settings, images, device, report)
    validation = validation_examples(state.model, target, images)
    latents = state.model.prior.latent
    recorder = Recorder(settings.figures.frames, *followed(settings, images, validation, latents), target)
    doctor = Doctor(validation, report)
    log_file = MetricsLog(folder / "metrics.jsonl", settings.trainer.log_every, doctor.numbers)
    written: list[Observer] = [doctor, log_file]  # in this order: the log writes what the doctor has found
    written += [recorder] if settings.figures.frames else []
    keeper = Checkpointer(folder / "checkpoints", settings.trainer.keep, written)
    if not resume:
        make_folder(folder, config_text)
    with alone(folder):
        event, changed = "begun", {}
        if resume:
            event = go_on(folder, keeper, state, settings.trainer, report)
            changed = keep_config(folder, config_text)
        more = {"changed": changed} if changed else {}
        with written_to(folder):
            note_start(folder, event, state, settings.seed, **more)
        if settings.engine.precision == "auto" and state.engine.precision != "float32":
            reason = "as it did before" if resume else "in which this machine is faster"
            report(f"training multiplies in {state.engine.precision}, {reason} (engine.precision)")
        with written_to(folder):
            anew = partial(begin, settings, images, device, report)
            watching = partial(
                fit,
                settings=settings.trainer,
                validation=validation,
                observers=[*written, keeper, *observers],
                interrupted=interrupted,
            )
            outcome, state = carefully(watching, anew, state, settings.trainer, keeper, report)
            summary = conclude(settings, folder, state, images, validation, recorder, outcome, report)
            note(folder, outcome, state.step, state.total)
        return summary


def carefully(
    run: Callable[[State], Outcome],
    anew: Callable[[], State],
    state: State,
    trainer: Trainer,
    keeper: Checkpointer,
    report: Report,
) -> tuple[Outcome, State]:
    """Trains, and after a breakdown goes back to the last good checkpoint if that is wanted, or sees where it began.

    Args:
        run: Trains from where a state stands.
        anew: Gives the state before the first step.
        state: Where the run stands.
        trainer: How to train.
        keeper: Keeps its checkpoints.
        report: Is told in one line of every return.

    Returns:
        How training ended, and the state then.

    Raises:
        Breakdown: If training broke down for good.
    """
    folder = keeper.folder.parent

    def restored() -> State:
        fresh, found = anew(), checkpoint.good(keeper.folder, report)
        if found is None:
            fresh.engine = replace(fresh.engine, precision=state.engine.precision)  # not as it would be chosen now
            keeper.begin_anew()
        else:
            keeper.restore(found, fresh)
        return fresh

    def told(back_off: BackOff) -> None:
        report(f"warning: {back_off}")
        note(folder, "backed off", back_off.back_to, state.total, breakdown=asdict(back_off))

    try:
        return with_back_off(run, restored, state, trainer, told)
    except Breakdown as error:
        found = error if error.exact else retrace(restored(), error)
        note(folder, "broke down", found.step, state.total, finding=found.finding)
        raise found from None


@contextmanager
def written_to(folder: Path) -> Iterator[None]:
    """Says of what the system refuses to write how the run goes on when that is mended."""
    try:
        yield
    except OSError as error:
        where = error.filename or folder
        raise RunError(
            f"{where} cannot be written ({error.strerror or one_line(error)}); mend that, then go on with "
            f"--resume {folder}"
        ) from error


def check_new(folder: Path) -> None:
    """Refuses a run folder that is there."""
    if folder.exists():
        raise UsageError(f"{folder} exists already: give another --out, or go on with --resume {folder}")


def go_on(folder: Path, keeper: Checkpointer, state: State, trainer: Trainer, report: Report) -> str:
    """Brings a freshly built state, and those who watch it, to where a run stands.

    Returns:
        What happens to the run: it is "begun", "resumed" or "extended".

    Raises:
        UsageError: If it is finished, or cannot be gone on with.
    """
    remove_leftovers(folder)  # a checkpoint may come back by that
    found = checkpoint.good(keeper.folder, report)
    done = is_done(folder, found, report)
    if done:
        check_longer(folder, found, state, trainer.patience)
    if found is None:
        report(f"{folder} holds no checkpoint yet: beginning anew")
        return "begun"
    keeper.restore(found, state)
    report(f"going on from step {state.step:,} of {state.total:,}")
    for change in moved(read_history(folder), environment(state)):
        report(f"warning: the last digits may differ from those of a run without a pause: {change}")
    return "extended" if done else "resumed"


def is_done(folder: Path, found: Path | None, report: Report) -> bool:
    """Whether a run came to its end: its test images have been scored, and then all was drawn and written.

    Args:
        folder: The run folder.
        found: Its newest good checkpoint. It holds the metrics: if those in the folder are damaged, the run ends anew.
        report: Is told of that.

    Raises:
        UsageError: If its metrics are damaged and there is no checkpoint.
    """
    if not (folder / "model.safetensors").exists() or not concluded(read_history(folder)):
        return False
    try:
        lines = read_lines(folder / "metrics.jsonl")
    except UsageError as error:
        if found is None:
            raise
        report(f"warning: {error}; it is put back to what {found} holds of it")
        return False
    return any(line["split"] == "test" for line in lines)


def check_longer(folder: Path, found: Path | None, state: State, patience: int | None) -> None:
    """Refuses to go on with a run that came to its end, unless it is to be longer now.

    Raises:
        UsageError: If it is not.
    """
    if found is None:
        raise UsageError(f"{folder} is finished, and holds no checkpoint from which to train it longer")
    record = checkpoint.read_state(found)
    stopped_early = record["step"] < record["total"]
    if not stopped_early and record["step"] >= state.total:
        raise UsageError(
            f"{folder} is finished: there is nothing to resume; to train it longer than {state.total:,} steps, give "
            "more --trainer.epochs (and --trainer.steps, if it has that)"
        )
    if stopped_early and patience is not None and record["stale"] >= patience:
        raise UsageError(
            f"{folder} is finished: it stopped early at step {record['step']:,}, {record['stale']} validations after "
            f"its best one; to train it longer, give more --trainer.patience than {patience}"
        )


def keep_config(folder: Path, text: str) -> dict[str, tuple[Any, Any]]:
    """Writes the config of a run that goes on with another one.

    Returns:
        The keys that changed, each with its value before and now.
    """
    path = folder / "config.yaml"
    before = path.read_text(encoding="utf-8")
    changed = {key: both for key, both in differences(before, text).items() if key in CHANGEABLE}
    if changed:
        with atomic_file(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return changed


@contextmanager
def built(what: str) -> Iterator[None]:
    """Turns what torch says of settings with which something cannot be built into one line."""
    try:
        yield
    except (TypeError, ValueError, RuntimeError, MemoryError) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"{what} cannot be built: {one_line(error)}") from None


def begin(settings: Config, images: ImageSet, device: torch.device, report: Report = log) -> State:
    """The state before the first step: everything random about it comes from the seed.

    Args:
        settings: The config.
        images: The images.
        device: Where to train.
        report: Is told in one line what cannot be made fast.
    """
    torch.manual_seed(stream(settings.seed, "weights"))
    with built("the model"):
        model = settings.model(images.shape, images.labelled)
    check_likelihood(model, settings.data.target, settings.data.targets)
    settings.objective.check(model)
    if settings.data.labelled < 1 and not model.classes:
        raise UsageError(
            f"data.labelled is {settings.data.labelled}, but the model looks at no labels: leave it out, "
            "or set the model to SemiSupervised and the objective to M2"
        )
    start_at(model, settings, images)
    engine = put(model, device, settings.engine)
    trainer, context = settings.trainer, model.context(images.train.labels)
    batches = Batches(
        settings.data.held(images.train.images, device),
        settings.data.target,
        trainer.batch_size,
        settings.seed,
        None if context is None else context.to(device),
        device,
        engine.read_ahead,
    )
    total = trainer.total(batches.steps_per_epoch)
    check_schedules(settings, total)
    critic = make_critic(settings.objective, model, images)
    with built("the optimizer"):
        players = cast(settings, model, critic if critic is None else critic.to(device))
    torch.manual_seed(stream(settings.seed, "latents"))
    return State(model, settings.objective, players, batches, total, critic=critic, engine=engine, report=report)


def start_at(model: VAE, settings: Config, images: ImageSet) -> None:
    """Lets a model start near the training images: near their mean, and with some of them at hand."""
    target = settings.data.target
    low, high = target.interval
    total = sum(part.numpy().sum(0, dtype=np.int64) for part in chunks(images.train.images))  # faster than torch's
    mean = torch.as_tensor(total) / len(images.train) / target.top
    noise = torch.Generator().manual_seed(stream(settings.seed, "start"))
    model.start_at(low + (high - low) * mean, target.training(images.train.images[:MOST_SHOWN], noise))


def make_critic(objective: Objective, model: VAE, images: ImageSet) -> nn.Module | None:
    """The model's opponent, where the objective has one."""
    return objective.critic(model, images.shape) if isinstance(objective, Adversarial) else None


def cast(settings: Config, model: VAE, critic: nn.Module | None) -> list[Player]:
    """Who plays: the model and, where there is a critic, the critic after it in every step."""
    objective, trainer = settings.objective, settings.trainer
    if critic is None or not isinstance(objective, Adversarial):
        return [Player(objective, [model], trainer.optimizer, trainer.schedule, trainer.clip)]

    def challenge(model: VAE, x: Tensor, context: Tensor | None, progress: float) -> Terms:
        return objective.challenge(critic, model, x, context)

    against = partial(objective, critic=critic)
    return [
        Player(against, [model], trainer.optimizer, trainer.schedule, trainer.clip),
        Player(challenge, [critic], lambda _: objective.optimizer(critic), trainer.schedule, prefix="critic_"),
    ]


def followed(settings: Config, images: ImageSet, validation: Examples, latents: int) -> tuple[Examples, Examples]:
    """The images whose latents, and those whose reconstructions, the animations follow.

    Of many latents fewer images are followed, so that the frames, which every checkpoint holds, stay small.
    """
    points = min(settings.figures.points, MOST_FOLLOWED // latents)
    return validation[: max(1, points)], validation[pictures.shown_indices(images)]


def make_folder(folder: Path, config_text: str) -> None:
    """Makes a run folder that holds the config, whole or not at all."""
    try:
        with atomic_folder(folder) as temporary:
            (temporary / "config.yaml").write_text(config_text, encoding="utf-8")
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
            check_new(folder)  # another process was faster
        if folder.exists():  # only its name could not be waited for
            with written_to(folder):
                raise
        raise UsageError(f"{folder} cannot be made ({error.strerror}): give an --out that can be written to") from None


def conclude(
    settings: Config,
    folder: Path,
    state: State,
    images: ImageSet,
    validation: Examples,
    recorder: Recorder,
    outcome: Outcome,
    report: Report,
) -> Summary:
    """Keeps the best weights, scores them on the test images, and draws."""
    state.model.load_state_dict(state.best_weights)
    latents = examine(state.model, validation)
    wrong = findings(latents, state.objective) if ready(state) else ()
    warnings = (*(finding.text for finding in wrong), *went_back(state))
    write_model(folder, state, images, originate(state, images, outcome, in_words(latents, wrong), warnings))
    test, right, density = None, None, None
    if outcome != "interrupted":
        shown = settings.data.target.evaluation([images.validation.images, images.test.images])[1]
        test = negative_elbo(state.model, shown.conditioned(state.model.context(images.test.labels)))
        if isinstance(state.model, SemiVAE) and images.test.labels is not None:
            right = accuracy(state.model, shown, images.test.labels)
        density = bits(state.model, settings.data.target, images, test)
        extra = {} if density is None else {"bits_per_dim": density}
        extra |= {} if right is None else {"accuracy": right}
        place = {"step": state.best_step, "epoch": round(state.best_step / state.batches.steps_per_epoch, 4)}
        lines = [line for line in read_lines(folder / "metrics.jsonl") if line["split"] != "test"]
        write_lines(folder / "metrics.jsonl", [*lines, place | {"split": "test"} | asdict(test) | extra])
    frames = recorder.arrays()
    if frames:
        with atomic_file(folder / "frames.npz") as temporary:
            np.savez_compressed(temporary, **frames)  # type: ignore[arg-type]
    report("drawing")
    clock = Clock()
    scene = make_scene(settings, folder, state.model, images, validation, state.best_step, state.best)
    files = pictures.draw(scene, folder / "figures", read_lines(folder / "metrics.jsonl"), frames)
    summary = Summary(
        outcome=outcome,
        steps=state.step,
        epochs=state.epoch,
        seconds=state.seconds,
        images_per_second=state.step * state.batches.size / state.seconds if state.seconds else 0.0,
        best_step=state.best_step,
        validation=state.best,
        test=test,
        bits_per_dim=density,
        accuracy=right,
        protocol=settings.data.target.protocol + of_labels(state.model),
        drawing_seconds=clock(),
        folder=folder,
        figures=tuple(files),
        latents=in_words(latents, wrong),
        warnings=warnings,
        anatomy=latents,
    )
    run = Run.load(folder)
    write_card(run)
    if outcome == "interrupted" or not settings.figures.explorer:
        return summary
    return replace(summary, explorer=explorer(run, images, report))


def went_back(state: State) -> tuple[str, ...]:
    """That a run went on after breakdowns, if it did."""
    if not state.back_offs:
        return ()
    times = "once" if state.back_offs == 1 else f"{state.back_offs} times"
    return (
        f"training broke down {times}, and went on from a checkpoint with learning rates times {state.easing:g} "
        f"(trainer.back_off, see history.jsonl)",
    )


def explorer(run: Run, images: ImageSet, report: Report) -> Path | None:
    """Writes the explorer of a run that is finished. What is in its way is told in one line, and nothing is lost."""
    report(f"writing {FILE}")
    try:
        return write_explorer(run, run.folder / FILE, data=images)
    except Exception as error:  # of any library: the run is worth more than its page
        report(f"there is no {FILE}: {one_line(error)}")
        return None


def bits(model: VAE, target: Target, images: ImageSet, test: Bound) -> float | None:
    """The bound on greys in bits for each value, where it is a score of them."""
    if test.negative_elbo is None or target.discrete:
        return None
    return bits_per_dim(test.negative_elbo, model.likelihood.family, target.interval, target.levels, images.shape)


def originate(state: State, images: ImageSet, outcome: Outcome, latents: str, warnings: tuple[str, ...]) -> Origin:
    """How a model came to be: the same wherever it is resumed or repeated, so that equal weights are equal files."""
    counts = {name: len(split) for name, split in images.splits.items()}
    where = machine(state.model)
    if state.engine.precision != "float32":
        where += f", trained with products in {state.engine.precision}"
    return Origin(images.title, counts, outcome, state.step, round(state.epoch, 4), where, latents, warnings)


def write_model(folder: Path, state: State, images: ImageSet, origin: Origin) -> None:
    """Writes ``model.safetensors``: the best weights, with what they are for in the header."""
    header = asdict(origin) | {
        "format": FORMAT,
        "vaescope": __version__,
        "torch": torch.__version__,
        "shape": list(images.shape),
        "classes": list(images.classes),
        "step": state.best_step,
        "loss": state.best,
    }
    header = json.loads(json.dumps(header))  # as it will be read
    header["hash"] = checkpoint.fingerprint(state.best_weights, header)
    checkpoint.save_tensors(folder / "model.safetensors", state.best_weights, {"vaescope": json.dumps(header)})
