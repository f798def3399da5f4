"""Image sets of the Hugging Face hub, or of a folder that is laid out as one, through its own library ``datasets``.

Code that comes with a set is never run: such sets are refused.
"""

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vaescope.data.items import Content, Part
from vaescope.data.own.parquet import IMAGES, LABELS, ROWS, choose
from vaescope.data.own.parts import PARTS, rank
from vaescope.data.own.pieces import Piece, Pieces, digest_files
from vaescope.errors import UsageError


def read_hub(name: str, classes: bool = True) -> Pieces:
    """A set of the Hugging Face hub.

    Args:
        name: Its name there, such as ``ylecun/mnist``, or a folder.
        classes: Whether to look for labels.

    Raises:
        UsageError: If there is no such set, if it cannot be had, or if it has no column of pictures.
    """
    splits = _load(name)
    parts = {split: PARTS.get(str(split).lower()) for split in splits}
    used = [split for split, part in parts.items() if part is not None] or list(splits)
    if len(used) > 1 and not any(parts.values()):
        raise UsageError(f"hf:{name} has the splits {', '.join(splits)}: expected train, validation and test")
    used.sort(key=lambda split: rank(parts[split]))
    found = [_piece(f"hf:{name}", splits[split], parts[split], classes) for split in used]
    ignored = [f"split {split}" for split in splits if split not in used]
    title = Path(name).resolve().name if Path(name).is_dir() else name
    return Pieces(title, [piece for piece, _ in found], f"hf:{name}", found[0][1], ignored=ignored)


def _load(name: str) -> dict[str, Any]:
    """The splits of a set by name."""
    try:
        import datasets
    except ImportError:
        raise UsageError(f"hf:{name} needs datasets: pip install 'vaescope[hf]'") from None
    if int(datasets.__version__.partition(".")[0]) < 4:  # older ones may run the code that comes with a set
        raise UsageError(f"hf:{name} needs datasets 4 or newer, this is {datasets.__version__}: upgrade it")
    given, _, config = (name, "", "") if Path(name).exists() else name.partition(":")
    try:
        with _quiet():
            return dict(datasets.load_dataset(given, config or None))
    except Exception as error:  # a hub, a network and a dozen formats raise almost anything
        reason = " ".join(str(error).split())
        raise UsageError(f"hf:{name} cannot be had: {reason[:300] or type(error).__name__}") from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the progress bars, log lines and warnings of the libraries, which are not ours to show."""
    import datasets
    import huggingface_hub.utils as hub

    level, bars = datasets.logging.get_verbosity(), datasets.are_progress_bars_disabled()
    hub_bars, hub_log = hub.are_progress_bars_disabled(), logging.getLogger("huggingface_hub").level
    datasets.logging.set_verbosity(logging.CRITICAL)
    datasets.disable_progress_bars()
    hub.disable_progress_bars()
    logging.getLogger("huggingface_hub").setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        datasets.logging.set_verbosity(level)
        logging.getLogger("huggingface_hub").setLevel(hub_log)
        if not bars:
            datasets.enable_progress_bars()
        if not hub_bars:
            hub.enable_progress_bars()


def _piece(where: str, split: Any, named: Part | None, classes: bool) -> tuple[Piece, Sequence[str]]:
    """The pictures of one split, and the names of their classes."""
    import datasets

    pictures = [name for name, feature in split.features.items() if isinstance(feature, datasets.Image)]
    image = choose(pictures, IMAGES) or (pictures[0] if len(pictures) == 1 else None)
    if image is None:
        columns = ", ".join(f"{name} ({type(feature).__name__})" for name, feature in split.features.items())
        raise UsageError(f"{where} has no column of pictures: {columns}: expected one with the feature Image")
    label = choose(split.column_names, LABELS) if classes else None
    labels = None if label is None else split.select_columns([label])[:][label]
    names = () if label is None else getattr(split.features[label], "names", None) or ()
    rows = split.select_columns([image]).cast_column(image, datasets.Image(decode=False))

    def contents() -> Iterator[Content]:
        for batch in rows.iter(batch_size=ROWS):
            yield from map(_content, batch[image])

    place = Path(where.removeprefix("hf:"))
    return Piece(where, named, len(split), contents, lambda: digest_files(contents(), place), labels), names


def _content(row: Mapping[str, Any] | None) -> Content:
    """The bytes of a picture, or the path of its file."""
    if row and row["bytes"] is None and row["path"]:
        return Path(row["path"])
    return (row and row["bytes"]) or b""
