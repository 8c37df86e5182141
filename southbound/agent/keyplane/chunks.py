"""One chunk of a relay's stock, its end-to-end check, and how it lies on disk."""

import json
from dataclasses import dataclass, field
from typing import Final

from controller.domain.capacity import END_TO_END_CHECK_BIT
from southbound.agent.keyplane.events import Record
from southbound.agent.keyplane.gf128 import TAG_BYTES, PolynomialHash, bind, detecting
from southbound.agent.keyplane.ledger import LedgerEntry, LedgerKind
from southbound.agent.keyplane.outbox import Outbox

CHECK_BYTES: Final = END_TO_END_CHECK_BIT // 8


@dataclass(slots=True)
class StockChunk:
    """A chunk in stock.

    Attributes:
        route_version: By which it was confirmed, or came; while it is under way, the highest that it was sent on.
        shares: How many it was, or is, made of.
        key: What is left of it; the first of these bits stands at offset `mark_bit`.
        tag: The masked hash of the whole chunk: what the far end told, or must tell.
        confirmed: Whether the origin may hand it out (always true at the far end).
    """

    relay: str
    chunk_id: int
    route_version: int
    shares: int
    key: bytes = field(repr=False)
    tag: bytes = field(repr=False)
    made_s: float
    mark_bit: int = 0
    confirmed: bool = False

    @property
    def left_bit(self) -> int:
        """Return how much is left."""
        return 8 * len(self.key)

    def meta(self, far_node: str, sent_on: list[int]) -> dict[str, object]:
        """Return what is persisted beside tag and key; `sent_on`: versions that it is under way on."""
        meta: dict[str, object] = {
            "relay": self.relay,
            "far_node": far_node,
            "chunk_id": self.chunk_id,
            "route_version": self.route_version,
            "shares": self.shares,
            "mark_bit": self.mark_bit,
            "made_s": self.made_s,
            "confirmed": self.confirmed,
        }
        return meta | {"sent_on": sent_on} if sent_on else meta

    def entry(self, kind: LedgerKind, origin: str, box: Outbox, *, length_bit: int = 0) -> LedgerEntry:
        """Return its line in the ledger."""
        return LedgerEntry(
            kind=kind,
            at_s=box.now_s,
            relay=self.relay,
            route_version=self.route_version,
            origin=origin,
            chunk_id=self.chunk_id,
            length_bit=length_bit,
        )


def restored_chunk(record: Record) -> tuple[StockChunk, list[int]]:
    """Return a persisted chunk, and the versions that it was under way on."""
    meta = json.loads(record.meta)
    chunk = StockChunk(
        relay=meta["relay"],
        chunk_id=meta["chunk_id"],
        route_version=meta["route_version"],
        shares=meta.get("shares", 1),  # written by 0.1.0
        key=record.secret[TAG_BYTES:],
        tag=record.secret[:TAG_BYTES],
        made_s=meta["made_s"],
        mark_bit=meta["mark_bit"],
        confirmed=meta["confirmed"],
    )
    return chunk, [] if chunk.confirmed else meta.get("sent_on", [chunk.route_version])


def end_to_end_tag(*, relay: str, chunk_id: int, key: bytes, check: bytes) -> bytes:
    """Return the masked hash of a chunk: what the far end tells the origin; hides the chunk.

    It holds also against who changes one of several shares: see `detecting`.
    """
    return PolynomialHash(check[:TAG_BYTES]).tag(detecting(bind(relay, chunk_id) + key), check[TAG_BYTES:])
