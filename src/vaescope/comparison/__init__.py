"""Runs side by side: scores that compare, by how much they differ, and whether that is more than noise.

::

    found = compare([Path("runs/a"), Path("runs/b")])
    print(found)                                        # a table for a terminal
    write(found, Path("comparison.html"))               # or .md, .csv

:mod:`~vaescope.comparison.entrants` reads run folders, :mod:`~vaescope.comparison.noise` holds the tests,
:mod:`~vaescope.comparison.rows` says what compares and what is best, :mod:`~vaescope.comparison.formats` writes it out.
"""

from vaescope.comparison.formats import draw, write
from vaescope.comparison.rows import Comparison, compare

__all__ = ["Comparison", "compare", "draw", "write"]
