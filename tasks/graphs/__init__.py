"""Graphs that are told to a network triple by triple: parts of the graph tasks.

`graphs` draws them, `maps` has some with names, `triples` lays them out, and `task` is the base of
the tasks. `route` is a command that asks a trained network for a route on a map.
"""
