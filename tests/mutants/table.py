"""All mutants, in the order in which they run."""

from tests.mutants import (
    of_bridges,
    of_dnc,
    of_family,
    of_fused,
    of_graphs,
    of_inspector,
    of_shrdlu,
    of_tasks,
    of_tools,
    of_training,
    of_unrolling,
    of_variants,
)

MUTANTS = (
    *of_dnc.MUTANTS,
    *of_family.MUTANTS,
    *of_unrolling.MUTANTS,
    *of_fused.MUTANTS,
    *of_bridges.MUTANTS,
    *of_tasks.MUTANTS,
    *of_graphs.MUTANTS,
    *of_shrdlu.MUTANTS,
    *of_training.MUTANTS,
    *of_variants.MUTANTS,
    *of_inspector.MUTANTS,
    *of_tools.MUTANTS,
)
