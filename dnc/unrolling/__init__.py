"""Running cores over sequences.

- `sequences` has the public functions, `dnc.unroll` and `dnc.bidirectional_unroll`.
- `validation` checks what they are given.
- `implementations` chooses between the two ways to run a core. It is the only module that uses
  both.
- `steps` runs a core step by step, with sequence lengths and resets; `loops` has the loops.
- `fused` runs a `dnc.DNC` with a backward pass written by hand: the same results in less time.
- `layers` applies the layers next to a DNC in an `snt.DeepRNN` to all steps at once.
- `checkpointing` runs segments of a sequence, either way, and runs them again in the backward pass.
- `derivatives` differentiates functions that are run again.
"""
