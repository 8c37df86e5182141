"""The link-layer service at one node (draft-dahlberg-ll-quantum): who asks for pairs gets them, or is told why not."""

from typing import Protocol

from southbound.agent.pairs.effects import PairId
from southbound.agent.pairs.part import Part
from southbound.agent.pairs.states import Pair


class ServiceHost(Protocol):
    """The engine, as the service sees it."""

    now_s: float


class LinkLayerService:
    """Takes requests and hands delivered pairs to them."""

    def __init__(self, host: ServiceHost) -> None:
        self._host = host

    def offer(self, part: Part, pair: Pair, identity: PairId) -> bool:
        """Take a delivered pair if somebody asked for it."""
        return False

    def path_gone(self, path: str) -> None:
        """End the requests of a path that is no longer set here."""
