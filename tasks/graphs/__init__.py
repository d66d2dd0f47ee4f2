"""Graphs that a network sees triple by triple: parts of the graph tasks.

`graphs` draws them, `maps` contains some with names, `triples` lays them out, and `task` is the
base of the tasks. `route` is a command that asks a trained network for a route on a map.
"""
