"""The loader that TensorBoard finds through the entry point `dnc_memory`.

An error in this import would stop all of TensorBoard, and its time is added to TensorBoard's start.
So this module imports only TensorBoard's base classes. `load` imports the rest. If that fails,
TensorBoard logs the error and continues without the plugin.
"""

import argparse

from tensorboard.plugins import base_plugin

from dnc_trace.header import PLUGIN_NAME


class DncLoader(base_plugin.TBLoader):
    """Loader that makes the plugin when TensorBoard starts."""

    def fix_flags(self, flags: argparse.Namespace) -> None:
        """Keeps the episodes of all steps, unless the user specifies a number.

        TensorBoard would keep ten, chosen at random. It reads an episode only when it shows it.
        """
        flags.samples_per_plugin.setdefault(PLUGIN_NAME, 0)

    def load(self, context: base_plugin.TBContext) -> base_plugin.TBPlugin:
        """Returns the plugin."""
        from dnc_inspector.plugin import DncPlugin

        return DncPlugin(context)
