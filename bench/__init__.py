"""Benchmarks: run by hand, print tables."""
