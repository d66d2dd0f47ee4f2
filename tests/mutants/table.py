"""All mutants, in the order in which they run."""

from tests.mutants import of_dnc, of_fused, of_inspector, of_tasks, of_tools, of_training

MUTANTS = (
    *of_dnc.MUTANTS,
    *of_fused.MUTANTS,
    *of_tasks.MUTANTS,
    *of_training.MUTANTS,
    *of_inspector.MUTANTS,
    *of_tools.MUTANTS,
)
