"""DNC Memory: a TensorBoard plugin, and self-contained pages, that show a memory at work.

=============  ====================================================================================
`loader`       the entry point for TensorBoard; `plugin`: its routes
`page`         one HTML page with the viewer and episodes in it, `python -m dnc_inspector`
`static/`      the viewer: plain ES modules, no build step
=============  ====================================================================================

The format of the data is in `dnc_trace`. This package imports neither TensorFlow nor `dnc`, so
TensorBoard starts quickly and does not need them.
"""
