"""Benchmarks, which are run by hand and print tables, or JSON with --json.

======================  ==========================================================================
`bench.step`            a training step compared with one of an `snt.LSTM`; the first call
`bench.inference`       one step forward compared with one of an `snt.LSTM`
`bench.scaling`         a training step for growing numbers of slots, time steps or sequences
`bench.memory`          the peak memory of a training step
`bench.summaries`       the time that recording the memory for TensorBoard adds to training
`bench.safety`          the time that checks and checkpoints add to training
`bench.solved`          the time until repeat copy is solved
`bench.results`         training of whole presets, and errors at several sizes
`bench.ablation`        errors of variants of the DNC on small tasks
`bench.soak`            the steps that training loses to kills, damaged files and full disks
======================  ==========================================================================

Each is a command, `python -m bench.step --help`, and has the same parts: `rows` measures and yields
one dictionary per row, and `main` turns flags into rows and rows into a table. Sizes and models are
in `bench.workloads`. Models are timed in turn in one run, since the speed of a machine drifts. You
can trust the ratios, but the milliseconds apply only to this machine on this day.
"""

import tasks  # noqa: F401  Imported first, to hide TensorFlow's messages.
