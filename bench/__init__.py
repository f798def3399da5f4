"""Benchmarks: what the recipes reach and what they cost. Run from the root of the repository."""
