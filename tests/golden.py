"""The numbers recorded from the released code, and comparisons with them."""

import pathlib

import numpy as np
import sonnet as snt
import tensorflow as tf

import dnc

DATA = pathlib.Path(__file__).parent / "data"
TRACES = [
    "trace_a_tiny",
    "trace_a_tiny_warm",
    "trace_b_multiwrite",
    "trace_b_multiwrite_warm",
    "trace_c_default",
    "trace_c_default_warm",
    "trace_d_overflow",
    "trace_d_overflow_warm",
]


class Recording(dict):
    """The arrays of one file by key."""

    def __init__(self, path: pathlib.Path):
        with np.load(path) as file:
            super().__init__({key: file[key] for key in file.files})

    def below(self, prefix: str) -> dict[str, np.ndarray]:
        """Returns the entries whose keys start with `prefix`, without it."""
        return {
            key.removeprefix(prefix): value for key, value in self.items() if key.startswith(prefix)
        }

    def cases(self, unit: str) -> dict[str, dict[str, np.ndarray]]:
        """Returns the cases of one function in units.npz."""
        numbers = sorted({key.split("/")[0] for key in self.below(f"{unit}/")})
        return {number: self.below(f"{unit}/{number}/") for number in numbers}


def config(trace: Recording) -> dict[str, float]:
    return {key: value.item() for key, value in trace.below("config/").items()}


def core_of(trace: Recording, dtype: tf.DType = tf.float32, **access_options) -> dnc.DNC:
    """Makes a core of the trace's sizes with the trace's variables."""
    sizes = config(trace)
    core = dnc.DNC(
        access=dnc.MemoryAccess(
            sizes["memory_size"],
            sizes["word_size"],
            sizes["num_reads"],
            sizes["num_writes"],
            **access_options,
        ),
        controller=snt.LSTM(sizes["hidden_size"], dtype=dtype),
        output_size=sizes["output_size"],
        clip_value=sizes["clip_value"] or None,
    )
    dnc.deepmind.restore(core, trace.below("var/"))
    return core


def state_of(arrays: dict[str, np.ndarray], dtype: tf.DType = tf.float32) -> dnc.DNCState:
    """Returns the state that is recorded under the given names."""
    tensors = {name: tf.constant(value, dtype) for name, value in arrays.items()}
    return dnc.DNCState(
        access_output=tensors["access_output"],
        access_state=dnc.AccessState(
            memory=tensors["memory"],
            read_weights=tensors["read_weights"],
            write_weights=tensors["write_weights"],
            linkage=dnc.TemporalLinkageState(tensors["link"], tensors["precedence_weights"]),
            usage=tensors["usage"],
        ),
        controller_state=snt.LSTMState(tensors["controller_hidden"], tensors["controller_cell"]),
    )


def by_name(state: dnc.DNCState) -> dict[str, np.ndarray]:
    """Inverts `state_of`."""
    access = state.access_state
    slots = np.shape(access.write_weights)  # Of a model without links these are zero.
    link = getattr(access.linkage, "link", np.zeros([*slots, slots[2]]))
    precedence = getattr(access.linkage, "precedence_weights", np.zeros(slots))
    return {
        "access_output": np.asarray(state.access_output),
        "memory": np.asarray(access.memory),
        "read_weights": np.asarray(access.read_weights),
        "write_weights": np.asarray(access.write_weights),
        "link": np.asarray(link),
        "precedence_weights": np.asarray(precedence),
        "usage": np.asarray(access.usage),
        "controller_hidden": np.asarray(state.controller_state.hidden),
        "controller_cell": np.asarray(state.controller_state.cell),
    }


# The symbols of dnc/reference for the names of `by_name`.
SYMBOLS = {
    "r": "access_output",
    "M": "memory",
    "w_r": "read_weights",
    "w_w": "write_weights",
    "L": "link",
    "p": "precedence_weights",
    "u": "usage",
    "h": "controller_hidden",
    "s": "controller_cell",
}


# Which axes of a quantity [T, B, ...] count slots.
SLOT_AXES = {
    "memory": (2,),
    "read_weights": (3,),
    "write_weights": (3,),
    "link": (3, 4),
    "precedence_weights": (3,),
    "usage": (2,),
    "write_content_weights": (3,),
    "write_allocation_weights": (3,),
    "read_content_weights": (3,),
    "forward_weights": (4,),
    "backward_weights": (4,),
}


def relabel_slots(
    quantities: dict[str, np.ndarray], recorded: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Numbers the slots of `quantities` [T, B, ...] like the slots of `recorded`.

    From an empty memory all untouched slots are interchangeable, and rounding decides which is used
    next. So there is one permutation for each batch element, the same at all times. It is found by
    matching the slots' histories of content and usage.
    """
    result = {name: value.copy() for name, value in quantities.items()}
    for b in range(recorded["usage"].shape[1]):
        mine, theirs = (
            np.concatenate([x["memory"][:, b], x["usage"][:, b, :, np.newaxis]], axis=2)
            for x in (quantities, recorded)
        )
        distance = np.abs(mine[:, :, np.newaxis] - theirs[:, np.newaxis]).max(axis=(0, 3))
        order = []
        for slot in range(distance.shape[1]):
            order.append(int(np.argmin(distance[:, slot])))
            distance[order[-1]] = np.inf
        for name in result.keys() & SLOT_AXES.keys():
            for axis in SLOT_AXES[name]:
                result[name][:, b] = np.take(result[name][:, b], order, axis=axis - 1)
    return result


def assert_close(actual, recorded, name: str) -> None:
    """Compares states, intermediate quantities and outputs: 1e-5 * max(1, largest value)."""
    limit = 1e-5 * max(1.0, np.abs(recorded).max())
    np.testing.assert_allclose(np.asarray(actual), recorded, rtol=0, atol=limit, err_msg=name)


def assert_gradient_close(actual, recorded, name: str) -> None:
    """Compares gradients: 1e-6 + 1e-4 * largest value."""
    limit = 1e-6 + 1e-4 * np.abs(recorded).max()
    np.testing.assert_allclose(np.asarray(actual), recorded, rtol=0, atol=limit, err_msg=name)


def masked_loss(logits, target, mask):
    """Returns the loss of the recordings in nats: a sum over T and channels, a mean over B."""
    target, mask = tf.cast(target, logits.dtype), tf.cast(mask, logits.dtype)
    losses = tf.nn.sigmoid_cross_entropy_with_logits(labels=target, logits=logits)
    return tf.reduce_mean(tf.reduce_sum(tf.reduce_sum(losses, axis=2) * mask, axis=0))
