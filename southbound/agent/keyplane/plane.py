"""The node's key plane: takes every event to the part that decides it, and runs what became possible."""

from collections.abc import Iterable

from southbound.agent.keyplane.events import Effect, Event, Figures, KeyStatus, Record


class KeyPlane:
    """All key of one node: links, relays, stocks and deliveries. See `events.py` for the contract."""

    def __init__(self, node: str, *, stride_bit: int = 1 << 16) -> None:
        """Start empty; `stride_bit` is how far durable marks run ahead (a crash burns at most so much per block)."""
        self._node = node
        self._stride_bit = stride_bit

    def restore(self, records: Iterable[Record], now_s: float) -> list[Effect]:
        """Take up what was persisted; burns what may have been used. Call it first, once."""
        raise NotImplementedError

    def handle(self, event: Event) -> list[Effect]:
        """Decide one event; the effects are to be carried out in order, see `events.py`."""
        raise NotImplementedError

    def status(self, master: str, slave: str) -> KeyStatus | None:
        """Return the figures of 014's `status`, or None where no association serves the pair."""
        raise NotImplementedError

    def peers(self) -> frozenset[str]:
        """Return the nodes that a stream is needed to: neighbours, and far ends of this node's relays."""
        raise NotImplementedError

    def figures(self) -> Figures:
        """Return the figures for reports and metrics."""
        raise NotImplementedError
