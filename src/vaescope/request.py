"""From what a user asks for to a run: a config with everything written out, and the folder that it goes to.

``--data X`` stands for several keys: where the images are and, if they are the user's own, all that is picked for them.
What is picked gives way to what a config file says, and both to options, in whatever order they stand.

A config file that names an image set, as ``configs/main.yaml`` does, was written for that set. For images of the user's
own it says only what differs from the defaults: two latents and a Bernoulli likelihood, spelled out there because they
are the defaults, are no choice for somebody's photographs.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace

from vaescope import config
from vaescope.config import Config
from vaescope.data.dataset import DECODED, OWN
from vaescope.data.fetch import Report, locate, log
from vaescope.data.idx import read_bytes
from vaescope.data.images import OWN as IDX
from vaescope.data.items import Source
from vaescope.data.own import HUB, open_source
from vaescope.data.own.folder import picture_endings
from vaescope.data.sources import FILE_NAMES, NAMED, find, recognise
from vaescope.data.survey import Survey, remembered_survey, survey
from vaescope.errors import UsageError
from vaescope.picks import Picks, in_words, pick

RUNS = Path("runs")

Says = Callable[[str], bool]
"""Of which keys, by their dotted names, a file or options say something."""


def parser() -> ArgumentParser:
    """The parser: every key of a config, and where the run goes."""
    made = ArgumentParser(
        prog="vaescope train",
        description="Train a model as a config says, score it on the test images, and draw what it learned.",
        epilog="example: vaescope train --config configs/main.yaml --trainer.epochs 5 --model.init_args.latent 3, or "
        "vaescope train --data photos/",
        exit_on_error=False,
        allow_abbrev=False,
    )
    config.add_arguments(made)
    for action in made._actions:
        if action.dest == "data":  # see expand_data
            action.metavar = "NAME_OR_PATH"
            action.help = "The name of an image set, a folder or file with your own images, or hf:NAME."
    made.add_argument("--out", type=Path | None, default=None, help="The run folder; by default a new one in runs/.")
    made.add_argument(
        "--resume",
        type=Path | None,
        default=None,
        help="A run folder to go on with, as it was begun; "
        "with more --trainer.epochs one that is finished is trained longer.",
    )
    made.add_argument("--skip-bad", action="store_true", help="Leave out files that cannot be read.")
    made.add_argument("--json", action="store_true", help="Print the summary as JSON on standard output.")
    return made


@dataclass(frozen=True)
class Found:
    """What a user's own images are, and what was picked for them."""

    survey: Survey
    picks: Picks

    def in_words(self, settings: Config) -> list[str]:
        """Three lines."""
        return in_words(self.picks, self.survey, settings)


def expand_data(words: Sequence[str], report: Report = log) -> tuple[list[str], Found | None]:
    """Writes ``--data X`` out: a name as ``--data.name``, a folder or file as ``--data.root`` with the name of what is
    in it, and for the user's own images with all that is picked for them. ``--skip-bad`` becomes a key too.

    Args:
        words: Words of a command line.
        report: Is told in one line what is being done.

    Returns:
        The words, and what was found out about the user's own images.
    """
    words = ["--data.skip_bad=true" if word == "--skip-bad" else word for word in words]
    files, words = apart(words)
    if [word.partition("=")[0] for word in words].count("--data") > 1:
        raise UsageError("--data is given twice: put all images into one folder, or give one place")
    expanded, heard = list[str](), list[Says]()
    picked: Mapping[str, Any] = {}
    found: Found | None = None
    rest = iter(words)
    for word in rest:
        flag, _, value = word.partition("=")
        if flag != "--data":
            expanded.append(word)
            continue
        value = value or next(rest, "")
        if not value or value.startswith("--"):
            raise UsageError(f"--data needs a name ({', '.join(NAMED)}), a folder or a file with images, or hf:NAME")
        if is_own(value):
            check_alone(value, words)
            heard = [says(file) for file in files]
            asked = given(files, heard, words)
            source = open_source(value, asked.get("classes", True) is not False)
            classes = f" in {len(source.learned):,} classes" if source.learned else ""
            report(f"looking at {source.size}{classes}")
            if source.note:
                report(source.note)
            found = look_at(remembered_survey(source), asked)
            picked = found.picks.keys
            expanded += (
                ["--data.name", value] if value.startswith(HUB) else ["--data.name", OWN, f"--data.root={value}"]
            )
        else:
            there = named(value)
            picked = NAMED[there[-1]].picks if there[-1] in NAMED else {}
            heard = [says(file) for file in files] if picked else []
            expanded += there
    check_root(files, expanded)
    return in_order(picked, files, heard, expanded), found


def check_root(files: Sequence[Path], words: Sequence[str]) -> None:
    """Refuses a place for image sets with a name that holds pictures of the user's own, and no name."""
    asked = dict(config.options(words))
    root = Path(asked.get("data.root", "")).expanduser()
    if "data.root" not in asked or "data.name" in asked or files or not root.is_dir():
        return
    if any(path.suffix.lower() in picture_endings() for path in root.iterdir()):
        raise UsageError(f"--data.root {root} holds pictures: to train on them, give --data {root}")


def check_alone(where: str, words: Sequence[str]) -> None:
    """Refuses another place for images among options, beside ``--data``."""
    for flag, value in config.options(words):
        if flag in ("data.name", "data.root"):
            raise UsageError(f"--data {where} and --{flag} {value} both say where the images are: give one of them")


def of_source(source: Source, words: Sequence[str], report: Report = log) -> tuple[list[str], Found]:
    """The words for images that are in no file: they are decoded into the cache, which then stands in the config.

    Args:
        source: The images.
        words: Words of a command line, for everything else.
        report: Is told in one line what is being done.
    """
    files, words = apart(words)
    heard = [says(file) for file in files]
    found = look_at(survey(source), given(files, heard, words))
    words = in_order(found.picks.keys, files, heard, words)
    made = parser()
    data = config.build(made, config.parse(made, [*words, "--data.name", OWN])).data
    return [*words, *options({"data.name": DECODED, "data.root": str(data.prepare(source, report))})], found


@dataclass(frozen=True)
class Request:
    """A run that is asked for.

    Args:
        settings: Its config.
        text: The same as YAML, every key written out.
        folder: Where it goes.
        resume: Whether it is there already, and is gone on with.
        json: Whether the summary is wanted as JSON.
    """

    settings: Config
    text: str
    folder: Path
    resume: bool
    json: bool


def understood(words: Sequence[str], report: Report = log) -> Request:
    """What words of a command line ask for: a new run, or one to go on with.

    Args:
        words: The words.
        report: Is told in one line what is being done.
    """
    if any(flag == "resume" for flag, _ in config.options(words)):
        return going_on(words)
    return request(*expand_data(words, report), report)


def going_on(words: Sequence[str]) -> Request:
    """A run that is gone on with by its own config, but for keys that may change.

    Args:
        words: The words of a command line, ``--resume RUN`` among them.

    Raises:
        UsageError: If the folder is none of a run, or other keys are to change.
    """
    asked = dict(config.options(words))
    folder = Path(asked["resume"])
    for flag in {"data", "out", "skip-bad"} & set(asked):
        raise UsageError(f"--resume goes on with a run where it is, on its own images: leave out --{flag}")
    if not (folder / "config.yaml").is_file():
        raise UsageError(f"{folder} is no run folder: it holds no config.yaml, so there is nothing to resume")
    made, own = parser(), ["--config", str(folder / "config.yaml")]
    (before, *_), (parsed, _, as_json) = (parsed_words(made, [*own, *rest]) for rest in ((), words))
    texts = dump(made, before), dump(made, parsed)
    for key, (then, now) in config.differences(*texts).items():
        if key not in config.CHANGEABLE:
            *others, last = config.CHANGEABLE
            raise UsageError(
                f"{folder} has {key} {then}, and --resume goes on with its config, so it cannot become {now}: only "
                f"{', '.join(others)} and {last} may change"
            )
    text = texts[1] if texts[0] != texts[1] else (folder / "config.yaml").read_text(encoding="utf-8")
    return Request(config.build(made, parsed), text, folder, True, as_json)


def parsed_words(made: ArgumentParser, words: Sequence[str]) -> tuple[Namespace, Path | None, bool]:
    """Words as a config, where the run goes, and whether the summary is wanted as JSON."""
    parsed = config.parse(made, words)
    _, out, as_json, _ = (parsed.pop(name) for name in ("resume", "out", "json", "skip_bad"))
    return parsed, out, as_json


def request(words: Sequence[str], found: Found | None = None, report: Report = log) -> Request:
    """What words of a command line ask for, once :func:`expand_data` or :func:`of_source` has written them out.

    Args:
        words: The words.
        found: What was found out about the user's own images, of which is told what was picked.
        report: Is told.
    """
    made = parser()
    parsed, out, as_json = parsed_words(made, words)
    asked = Request(config.build(made, parsed), dump(made, parsed), out or free_folder(parsed), False, as_json)
    for line in found.in_words(asked.settings) if found else ():
        report(line)
    return asked


def apart(words: Sequence[str]) -> tuple[list[Path], list[str]]:
    """The config files among words of a command line, and all other words."""
    files, others, rest = list[Path](), list[str](), list(words)
    while rest:
        word = rest.pop(0)
        flag, value = next(config.options([word, *rest[:1]])) if word.startswith(("--", "-c")) else ("", "")
        if flag != "config":
            others.append(word)
            continue
        files.append(Path(value))
        del rest[: word in ("--config", "-c")]  # the value, where it was a word of its own
    return files, others


def in_order(
    picked: Mapping[str, Any], files: Sequence[Path], heard: Sequence[Says], words: Sequence[str]
) -> list[str]:
    """The words for a config in which later ones win: what is picked, config files, other words. What nobody says
    anything about is picked once more at the end, because a class that is named starts from its own defaults."""
    said = [*heard, among(mentioned(config.options(words)))] if picked else []
    left = {key: value for key, value in picked.items() if not any(says_it(key) for says_it in said)}
    configs = [word for file in files for word in ("--config", str(file))]
    return [*options(picked), *configs, *words, *options(left)]


def says(file: Path) -> Says:
    """Of which keys a config file says something: those that it mentions, and in one that was written for an image set
    with a name only those that it sets to something else than the default."""
    content = config.load_yaml(file)
    config.check_content(content)
    mentions = among(mentioned(content.items()))
    if content.get("data", {}).get("name") not in (*NAMED, IDX):
        return mentions
    made = parser()
    said, default = config.parse(made, ["--config", str(file)]), config.parse(made, [])

    def differs(key: str) -> bool:
        above, _, last = key.rpartition(".")
        return any(_bare(said.get(name)) != _bare(default.get(name)) for name in (key, f"{above}.init_args.{last}"))

    return lambda key: mentions(key) and differs(key)


def mentioned(pairs: Iterable[tuple[Any, Any]]) -> Iterator[str]:
    """The dotted names of all keys in a config or among options. The arguments of a class are keys of it."""
    for name, value in pairs:
        held = config.plain(value) if isinstance(value, str) else value
        here = ".".join(part for part in str(name).split(".") if part not in ("init_args", "class_path"))
        below = mentioned(held.items()) if isinstance(held, dict) else ()
        yield here
        yield from (f"{here}.{key}".strip(".") for key in below)


def among(names: Iterable[str]) -> Says:
    """Whether a key, or one below it, is among names."""
    known = list(names)
    return lambda key: any(f"{name}.".startswith(f"{key}.") for name in known)


def _bare(value: Any) -> Any:
    """A value, of a class without arguments its name: a default is the class, a file holds its path."""
    if isinstance(value, Namespace) and list(vars(value)) == ["class_path"]:
        return value.class_path.rpartition(".")[2]
    return getattr(value, "__name__", value)


def is_own(where: str) -> bool:
    """Whether images of the user's own are there, rather than a set with a name or the four files of one."""
    return where.startswith(HUB) or (Path(where).exists() and not is_named(Path(where)))


def named(value: str) -> list[str]:
    """The words for a set with a name, or a folder that holds its files.

    Raises:
        UsageError: If there is none.
    """
    if Path(value).is_dir():
        return ["--data.root", value, "--data.name", contents(Path(value))]
    if "/" in value or "." in value:
        known = ", ".join(NAMED)
        raise UsageError(f"--data {value} does not exist: give a folder or file with images, or one of {known}")
    if value != IDX:
        find_or_say(value)
    return ["--data.name", value]


def find_or_say(value: str) -> None:
    """Refuses a name that no set has, and that nothing here has either."""
    try:
        find(value)
    except UsageError as error:
        raise UsageError(f"{error}; nor is there a file or folder {value}") from None


def is_named(path: Path) -> bool:
    """Whether a folder holds the files of a named set, or such files of one's own."""
    images = (FILE_NAMES["train_images"], FILE_NAMES["test_images"], *(file for _, file in drawn()))
    return path.is_dir() and any(locate(path, name) for name in images)


def drawn() -> Iterator[tuple[str, str]]:
    """The names of the sets that are drawn here, and of the file of each."""
    return ((named.name, file.name) for named in NAMED.values() if named.drawn for file in named.files.values())


def given(files: Sequence[Path], heard: Sequence[Says], words: Sequence[str]) -> dict[str, Any]:
    """The keys of the ``data`` part in config files and among words, with their values. What a value may be is checked
    later."""
    found: dict[str, Any] = {}
    for file, said in zip(files, heard, strict=True):
        data = config.load_yaml(file).get("data", {})
        found |= {key: value for key, value in data.items() if said(f"data.{key}")}
    pairs = {flag.removeprefix("data."): value for flag, value in config.options(words) if flag.startswith("data.")}
    return found | {key: config.plain(value) for key, value in pairs.items()}


def options(keys: Mapping[str, Any]) -> list[str]:
    """Keys and values as words of a command line."""
    return [word for key, value in keys.items() for word in (f"--{key}", _word(key, value))]


def _word(key: str, value: Any) -> str:
    """A value as a word of a command line: text as it is, everything else as JSON."""
    if isinstance(value, str | Path):
        return str(value)
    try:
        return json.dumps(value, default=_plain)
    except TypeError:
        raise UsageError(f"{key} is {type(value).__name__}: give what a config file can hold, or a name") from None


def _plain(value: Any) -> Any:
    """A path as text, and a number of numpy or torch as one of Python."""
    return str(value) if isinstance(value, Path) else value.item() if hasattr(value, "item") else json.dumps(value)


def look_at(found: Survey, asked: Mapping[str, Any]) -> Found:
    """Picks what is not asked for, if any image can be read."""
    found.check()
    return Found(found, pick(found, asked))


def contents(folder: Path) -> str:
    """What a folder holds: the name of a set whose files it has, byte for byte, or ``idx`` for others.

    Raises:
        UsageError: If there are no images in it.
    """
    for name, file in drawn():
        if locate(folder, file):
            return name
    images = locate(folder, FILE_NAMES["train_images"])
    if images is None or locate(folder, FILE_NAMES["test_images"]) is None:
        names = f"{FILE_NAMES['train_images']} and {FILE_NAMES['test_images']}"
        raise UsageError(f"--data {folder} holds no images to train on: it must have {names}, gzipped or not")
    known = recognise(hashlib.sha256(read_bytes(images)).hexdigest())
    if known and all(locate(folder, file.name) for file in find(known[0]).files.values()):
        return known[0]
    return IDX


def own_name(data: Namespace) -> str:
    """What to call a run on the user's own images; nothing for a set with a name."""
    if data.name in (*NAMED, IDX):
        return ""
    root = Path(str(data.root))
    return "images" if data.name == DECODED else root.name if root.is_dir() else root.stem


def free_folder(parsed: Namespace) -> Path:
    """A run folder that does not exist yet, named after the config file, or after one's own images where there is none:
    main, main-2, main-3 ..."""
    files = parsed.get("config") or []
    stem = Path(str(files[-1])).stem if files else own_name(parsed.data) or "main"
    number = 1
    while True:
        folder = RUNS / (stem if number == 1 else f"{stem}-{number}")
        if not folder.exists():
            return folder
        number += 1


def dump(made: ArgumentParser, parsed: Namespace) -> str:
    """The config with every key written out, as YAML."""
    kept = parsed.clone()
    kept.pop("config", None)
    text: str = made.dump(kept, skip_unset=False)
    return "# Everything needed to repeat this run: vaescope train --config config.yaml\n" + text
