"""The DNC over a whole sequence, with a backward pass written by hand.

The cores in `dnc` say what a DNC is, one equation a line, and TensorFlow differentiates them. This
package computes the same outputs, states and gradients in less time and memory, for `dnc.unroll`:

- `loop` runs forwards and backwards through time. Products with weights that need not wait for the
  memory are done for all steps at once: those of the inputs and outputs, and the gradients of all
  weights.
- `controllers` and `access` are one step of the two parts: `step` computes it and tells what to
  keep for the backward pass, `gradient` takes the gradients by the results to those by the
  arguments. `links`, `look_up` and `usage` are the parts of the memory.
- `parts` is the table of all parts that this is true for. A core with any other part, wherever it
  is, must be run by its plain steps.

docs/performance.md derives the gradients. The names are those of the paper's symbols spelt out, and
`d_x` is the gradient of the loss by x. All gradients by states are of the loss through *later*
steps.
"""
