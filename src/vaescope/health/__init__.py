"""Health: what is wrong with an installation, a run folder or images, and how to mend it.

What is looked at is one small function each, a :class:`~vaescope.health.finding.Check`, that gives
:class:`~vaescope.health.finding.Finding` objects. Nothing here imports torch or numpy before it is known that they can
be imported: they are tried in a process of their own first, see :mod:`vaescope.health.probe`.
"""
