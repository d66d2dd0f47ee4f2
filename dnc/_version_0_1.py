"""Parts of version 0.1, for loading models that were trained with it."""

from dnc.interface import Field
from dnc.linkage import Linkage, NoLinkage


class NoLinkageWithModes(NoLinkage):
    """`NoLinkage` of version 0.1, whose read heads have modes although there are no links.

    A read weighting is the content weighting times the content mode. `NoLinkage` has no modes and
    reads with the content weighting itself.
    """

    def fields(self) -> dict[str, Field]:
        """Returns the interface fields: the modes of each read head."""
        return Linkage.fields(self)
