"""Train a variational autoencoder on images, measure it honestly, and look inside.

``train``, ``resume``, ``load``, ``evaluate`` and ``compare`` are what most programs need; see :mod:`vaescope.api`. They
are imported when they are asked for, because the model behind them takes seconds to import, and ``vaescope --help``
needs none of it.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vaescope.api import compare, evaluate, load, resume, train
    from vaescope.errors import RunError, UsageError
    from vaescope.run import Run

__version__ = "0.1.0"

__all__ = ["Run", "RunError", "UsageError", "compare", "evaluate", "load", "resume", "train"]


def __getattr__(name: str) -> Any:
    """A public name, imported when it is asked for first."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    places = {"Run": "run", "RunError": "errors", "UsageError": "errors"}
    return getattr(importlib.import_module(f"vaescope.{places.get(name, 'api')}"), name)


def __dir__() -> list[str]:
    """The public names."""
    return sorted({*globals(), *__all__})
