"""Libraries that only some of the verbs need: imported when they are asked for, and kept from talking."""

import importlib
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from vaescope.errors import UsageError


def needed(extra: str, *modules: str) -> Any:
    """The first of some modules, once all of them are found to be installed.

    Args:
        extra: The extra of vaescope that brings them.
        modules: Their names.

    Raises:
        UsageError: If one is not installed, with what to install.
    """
    try:
        first, *_ = [importlib.import_module(name) for name in modules]
    except ModuleNotFoundError as error:
        raise UsageError(f"this needs {error.name}: pip install 'vaescope[{extra}]'") from None
    return first


@contextmanager
def hushed(*names: str) -> Iterator[None]:
    """Within the block these loggers tell of errors alone, and nothing warns: what is wrong is told in our one line.

    Args:
        names: The names of the loggers; those below them follow.
    """
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
