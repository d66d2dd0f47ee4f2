"""Benchmarks: run by hand, print tables, or JSON with --json.

======================  ==========================================================================
`bench.step`            a training step compared with one of an `snt.LSTM`; the first call
`bench.inference`       one step forward compared with one of an `snt.LSTM`
`bench.scaling`         a training step for growing numbers of slots, time steps or sequences
`bench.memory`          the peak memory of a training step
`bench.summaries`       the time that recording the memory for TensorBoard adds to training
`bench.safety`          the time that checks and checkpoints add to training
`bench.solved`          the time until repeat copy is solved
`bench.results`         training of whole presets, and errors at several sizes
`bench.ablation`        which variant of the DNC helps on which task
`bench.soak`            what training loses to kills, damaged files and full disks
======================  ==========================================================================

Each is a command, `python -m bench.step --help`, and has the same parts: `rows` measures and yields
one dictionary a row, and `main` turns flags into rows and rows into a table. Sizes and models are
in `bench.workloads`. Whatever is compared is timed in turn in one run, since the speed of a machine
drifts: ratios are to be trusted, milliseconds are of this machine on this day.
"""

import tasks  # noqa: F401  First of all: it hides TensorFlow's messages.
