"""The format of recorded episodes, shared by the model (`dnc`) and its viewer (`dnc_inspector`).

=============  ====================================================================================
`quantities`   the table of the quantities of an episode
`schema`       checks of a trace, and its file (.npz)
`episode`      an episode in the viewer's format: a header (`header`) and one blob for each example
`paths`        local paths and addresses
=============  ====================================================================================

This package imports neither TensorFlow nor `dnc`.
"""
