"""What a network can be imported from; apart from the import, so that qinetctl starts without what that loads."""

from enum import StrEnum


class SourceFormat(StrEnum):
    """What a source is."""

    TOPOHUB = "topohub"
    GRAPHML = "graphml"
    NODE_LINK = "node-link"
