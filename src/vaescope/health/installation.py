"""The installation: everything that has to work before a model can be trained."""

from functools import partial

from vaescope.health import libraries, machine
from vaescope.health.finding import Check
from vaescope.health.probe import STAGES, ask, origin

BRIEF = ("numpy", "torch", "threads")
"""What is tried before something else is looked at that needs torch."""


def installation(brief: bool = False, measure: bool = False) -> list[Check]:
    """What there is to look at of an installation.

    Args:
        brief: Whether only that is tried without which nothing else can be looked at.
        measure: Whether it is measured in which precision this processor is faster, if it was not before.
    """
    stages = [stage for stage in STAGES if stage != "measured" or measure]
    stages = [stage for stage in stages if stage not in libraries.NEIGHBOURS or origin(stage)]
    answers = ask(BRIEF if brief else stages)
    checks = [
        Check("python", libraries.python),
        Check("packages", libraries.packages),
        Check("extras", libraries.extras),
        Check("numpy", partial(libraries.imports, "numpy", answers)),
        Check("torch", partial(libraries.imports, "torch", answers)),
        Check("neighbours", partial(libraries.neighbours, answers)),
        Check("vaescope", partial(libraries.imports, "vaescope", answers)),
        Check("threads", partial(machine.threads, answers)),
        Check("openmp", partial(machine.openmp, answers)),
        Check("products", partial(machine.products, answers)),
        Check("gpu", partial(machine.gpus, answers)),
        Check("memory", machine.memory),
        Check("limits", machine.limits),
        Check("disk", machine.disks),
        Check("surroundings", machine.surroundings),
        Check("drawing", partial(machine.drawing, answers)),
        Check("training", partial(machine.training, answers)),
    ]
    left_out = ("extras", "neighbours") if brief else ()
    return [check for check in checks if check.name not in left_out]
