"""What makes training fast without changing what it computes: every trick, and the key that switches it off."""

from vaescope.engine.engine import PLAIN, Engine, at_work, working
from vaescope.engine.kernels import bernoulli_log_prob, normal_kl
from vaescope.engine.light import light
from vaescope.engine.memory import keep_freed
from vaescope.engine.precision import Precision, capability, choose, products

__all__ = [
    "PLAIN",
    "Engine",
    "Precision",
    "at_work",
    "bernoulli_log_prob",
    "capability",
    "choose",
    "keep_freed",
    "light",
    "normal_kl",
    "products",
    "working",
]
