"""What makes training fast without changing what it computes: every trick, and the key that switches it off."""

from vaescope.engine.compiled import LONG, compiled, failed
from vaescope.engine.copies import Carrier, bring
from vaescope.engine.determinism import allow_steady, steady
from vaescope.engine.engine import PLAIN, Engine, at_work, working
from vaescope.engine.kernels import bernoulli_log_prob, normal_kl
from vaescope.engine.light import light, lightly
from vaescope.engine.memory import keep_freed
from vaescope.engine.precision import Precision, capability, choose, processor, products
from vaescope.engine.share import Share

__all__ = [
    "LONG",
    "PLAIN",
    "Carrier",
    "Engine",
    "Precision",
    "Share",
    "allow_steady",
    "at_work",
    "bernoulli_log_prob",
    "bring",
    "capability",
    "choose",
    "compiled",
    "failed",
    "keep_freed",
    "light",
    "lightly",
    "normal_kl",
    "processor",
    "products",
    "steady",
    "working",
]
