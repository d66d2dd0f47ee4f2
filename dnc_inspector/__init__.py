"""DNC Memory: a TensorBoard plugin, and pages of their own, that show what a memory did.

=============  ====================================================================================
`schema`       what a recorded episode consists of, and its file (.npz)
`episode`      an episode as the viewer takes it: a header, and one blob for each example; `header`
`loader`       what TensorBoard finds; `plugin`: its routes
`page`         one HTML page with the viewer and an episode in it, `python -m dnc_inspector`
`static/`      the viewer: plain ES modules, no build step
=============  ====================================================================================

This package imports neither TensorFlow nor `dnc`, so that TensorBoard starts quickly and also where
these are not installed: TensorBoard and what it requires are enough.
"""
