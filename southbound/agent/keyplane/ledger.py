"""The append-only account of every key bit that a node held; it carries no key material."""

from dataclasses import dataclass
from enum import StrEnum


class LedgerKind(StrEnum):
    """What happened to bits. The comment says which fields of the entry are set besides `at_s`."""

    BLOCK = "BLOCK"
    """A block is stored: held durably and compared. link, neighbour, block, length_bit."""
    CESSION = "CESSION"
    """An unused block changed hands. link, neighbour, block, count (how often so far), sent (by whom)."""
    USE = "USE"
    """Bits used once. link, neighbour, block, offset_bit, length_bit, sent, purpose, and the chunk if there is one."""
    BURN = "BURN"
    """What this node did not use before in the range is never used. link, neighbour, block, offset_bit, length_bit."""
    WIPE = "WIPE"
    """Material erased: a block (link, neighbour, block), a chunk or share of it (relay, origin, chunk_id), a key."""
    CHUNK = "CHUNK"
    """A stocked chunk became usable at the origin, or stored at the far end. relay, origin, chunk_id, length_bit,
    route_version that it came by, count (its shares)."""
    VOID = "VOID"
    """A chunk (relay, origin, chunk_id) or key (key_id) that is never used."""
    CUT = "CUT"
    """Stocked bits bound to a key. relay, origin, chunk_id, offset_bit, length_bit, key_id."""
    KEY = "KEY"
    """A key handed to the master if sent, else to a slave. key_id, length_bit, application, sae, relay if it is one."""

    CLOSED = "CLOSED"
    """Older lines were left out: of the blocks of a link up to this one (link, neighbour, block), or of the chunks of
    a relay and origin up to this one, and keys made of them (relay, origin, chunk_id)."""


class Purpose(StrEnum):
    """What a use of link bits was for."""

    COMPARE = "COMPARE"
    HASH_KEY = "HASH_KEY"
    CESSION_TAG = "CESSION_TAG"
    CHUNK = "CHUNK"
    CHUNK_ACK = "CHUNK_ACK"


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """One line of the account. Fields that a kind does not set keep their defaults.

    Attributes:
        at_s: The node's service time of the entry.
        sent: Whether this node sent what the bits were used for (else it received it).
        origin: The end of the relay that made the chunk.
        sae: Whom a key was handed to.
        count: See CESSION and CHUNK.
    """

    kind: LedgerKind
    at_s: float
    link: str = ""
    neighbour: str = ""
    block: int = -1
    offset_bit: int = 0
    length_bit: int = 0
    sent: bool = False
    purpose: Purpose | None = None
    relay: str = ""
    route_version: int = 0
    share: int = 0
    origin: str = ""
    chunk_id: int = -1
    key_id: str = ""
    application: str = ""
    count: int = 0
    sae: str = ""
