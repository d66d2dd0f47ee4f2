"""A core of each variant in the family of DNCs, and of all of them together."""

import tensorflow as tf

import dnc
from tests.models import make_core

SIZES = {"memory_size": 5, "word_size": 3, "num_reads": 2, "num_writes": 2}


def freeness(kind=dnc.Freeness):
    """Makes one without the stop_gradient, so that gradients equal finite differences."""
    return kind(5, stop_write_gradient=False)


def sharp_links():
    return dnc.SharpLinkage(dnc.TemporalLinkage(5, 2))


def layer_norm_lstm():
    return dnc.LayerNormLSTM(6, dtype=tf.float64)


def learned_word():
    return dnc.LearnedWord(3, initial_value=0.2, dtype=tf.float64)


def all_parts():
    return {
        "read_content": dnc.UsedMaskedCosineWeights(2, 3, dnc.oneplus, mask_min=0.2),
        "write_content": dnc.MaskedCosineWeights(2, 3, dnc.oneplus),
        "freeness": freeness(dnc.SoftmaxAllocation),
        "linkage": sharp_links(),
        "deallocate": True,
        "layer_norm": True,
        "initial_memory": learned_word(),
        "controller": dnc.LearnedState(layer_norm_lstm()),
        "bypass_dropout": 0.4,
    }


# Arguments of `make_core`; functions, as parts have variables.
VARIANTS = {
    "masked": lambda: {"content_weights": dnc.MaskedCosineWeights},
    "masked reads with a floor": lambda: {
        "read_content": dnc.MaskedCosineWeights(2, 3, mask_min=0.3)
    },
    "used": lambda: {"content_weights": dnc.UsedCosineWeights},
    "masked and used": lambda: {"content_weights": dnc.UsedMaskedCosineWeights},
    "deallocate": lambda: {"deallocate": True},
    "sharp links": lambda: {"linkage": sharp_links()},
    "content only": lambda: {"linkage": dnc.NoLinkage(5, 2)},
    "softmax allocation": lambda: {"freeness": freeness(dnc.SoftmaxAllocation)},
    "layer norm": lambda: {"layer_norm": True},
    "layer norm without bias": lambda: {"layer_norm": True, "with_bias": False},
    "layer norm LSTM": lambda: {"controller": layer_norm_lstm()},
    "constant word": lambda: {"initial_memory": 0.3},
    "learned word": lambda: {"initial_memory": learned_word()},
    "learned state": lambda: {"controller": dnc.LearnedState(layer_norm_lstm())},
    "bypass dropout": lambda: {"bypass_dropout": 0.4},
    "all": all_parts,
}


def core_of(variant, **options):
    """Makes a float64 core of a variant, with random variables."""
    defaults = {"freeness": freeness(), "dtype": tf.float64, "hidden_size": 6}
    return make_core(**{**SIZES, **defaults, **VARIANTS[variant](), **options})
