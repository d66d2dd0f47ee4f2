"""Graphs that are told to a network triple by triple: parts of the task traversal.

`graphs` draws them, `triples` lays them out.
"""
