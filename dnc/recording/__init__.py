"""Recording of episodes, and their display in TensorBoard and in notebooks."""
