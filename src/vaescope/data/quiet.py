"""Silence for one thread, of warnings and of some loggers, while the other threads still hear theirs.

``warnings.catch_warnings`` swaps the filters of the whole process: of two threads that use it, the one that leaves
first puts back what the other has yet to leave. Here nothing is swapped. One filter is put in front and stays there;
its category answers ``issubclass``, which is how a filter is matched, by whether the thread that warns is inside
:func:`quiet`. Outside of it the filter matches nothing.
"""

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


class _Here(threading.local):
    quiet = False


_here, _lock = _Here(), threading.Lock()


class _IfQuiet(type):
    def __subclasscheck__(cls, category: type) -> bool:
        return _here.quiet


class _Unheard(Warning, metaclass=_IfQuiet):
    """Every warning is one of these in a thread that is quiet, and none in any other."""


def _unlogged(record: logging.LogRecord) -> bool:
    return not _here.quiet


@contextmanager
def quiet(*loggers: str) -> Iterator[None]:
    """Ignores all warnings that this thread gives inside the block, whatever the filters say. Blocks do not nest.

    Args:
        loggers: The names of loggers that are not to be heard either.
    """
    for name in loggers:
        logging.getLogger(name).addFilter(_unlogged)
    if not warnings.filters or warnings.filters[0][2] is not _Unheard:
        with _lock:
            warnings.simplefilter("ignore", _Unheard)
    _here.quiet = True
    try:
        yield
    finally:
        _here.quiet = False
