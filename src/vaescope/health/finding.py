"""What a check finds, and a check that fails without taking the others with it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Literal

from vaescope.errors import one_line

Level = Literal["ok", "note", "warning", "fault"]
"""From what is as it should be to what cannot work. A note is worth knowing, a warning may cost time or digits."""


@dataclass(frozen=True)
class Finding:
    """What was found.

    Args:
        level: How bad it is.
        text: What was found, in one line.
        remedy: What to do about it, in one line. Warnings and faults have one.
        check: The name of the check that found it.

    Raises:
        ValueError: For a warning or a fault without a remedy.
    """

    level: Level
    text: str
    remedy: str = ""
    check: str = ""

    def __post_init__(self) -> None:
        if self.level in ("warning", "fault") and not self.remedy:
            raise ValueError(f"nothing is said about how to mend this: {self.text}")


@dataclass(frozen=True)
class Check:
    """One thing to look at.

    Args:
        name: What it is called, in a word or two.
        look: Looks at it, and gives what it finds.
    """

    name: str
    look: Callable[[], Iterable[Finding]]

    def __call__(self) -> list[Finding]:
        """What there is to say; that it could not be looked at, if that is so."""
        try:
            found = list(self.look())
        except ModuleNotFoundError as error:
            found = [fault(f"{error.name} is missing", f"pip install {error.name}")]
        except PermissionError as error:
            found = [fault(one_line(error), "chmod -R u+rwX on that, or have its owner do so")]
        except Exception as error:  # of whatever is broken: the other checks may say why
            found = [warning(f"this could not be looked at ({one_line(error)})", "mend the faults first, if any")]
        return [replace(finding, check=self.name) for finding in found]


def ok(text: str) -> Finding:
    """What is as it should be."""
    return Finding("ok", text)


def note(text: str, remedy: str = "") -> Finding:
    """What is worth knowing."""
    return Finding("note", text, remedy)


def warning(text: str, remedy: str) -> Finding:
    """What may cost time or digits."""
    return Finding("warning", text, remedy)


def fault(text: str, remedy: str) -> Finding:
    """What cannot work."""
    return Finding("fault", text, remedy)


def size(count: float) -> str:
    """A number of bytes in words."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:,.1f} TiB"
