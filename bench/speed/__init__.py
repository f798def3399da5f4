"""Benchmarks of speed, each a module with a function ``measure``; see ``python -m bench --help``."""
