"""What two agents say to each other; fields and names are those of `proto/qinet/peer/v1/peer.proto`.

Tags, payloads and keys are bytes; they carry `repr=False` so that no log line can hold them. Bit
offsets and lengths are multiples of 8.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class PoolRange:
    """Bits of a link's block: [offset_bit, offset_bit + length_bit)."""

    block: int
    offset_bit: int
    length_bit: int


@dataclass(frozen=True, slots=True)
class BlockMark:
    """How far a block is used up, and how often it changed hands, as the sender knows it.

    `mark_bit` is where the sender goes on; `seen_bit` is the end of the last use it is sure of. After
    a crash they differ by what was burnt.
    """

    block: int
    mark_bit: int
    seen_bit: int
    cessions: int
    compared: bool


@dataclass(frozen=True, slots=True)
class LinkState:
    """First message about a link on a new connection: both ends go on from the larger marks.

    One that does not answer starts the link anew and is answered by one that does. `received_bit` is
    how much the sender is sure to have received uses of, since the link began. `life` numbers the sender's process,
    `heard_life` is the highest of the receiver's that the sender keeps; 0 where there is none.
    """

    link: str
    answers: bool
    last_block: int
    received_bit: int
    marks: tuple[BlockMark, ...]
    life: int
    heard_life: int


@dataclass(frozen=True, slots=True)
class BlockCompare:
    """The sender holds this block durably; `tag` is masked with bits of the block itself."""

    link: str
    block: int
    length_bit: int
    tag: bytes = field(repr=False)
    compared: bool


@dataclass(frozen=True, slots=True)
class BlockGone:
    """The sender does not hold this block and never will again."""

    link: str
    block: int


@dataclass(frozen=True, slots=True)
class HashKeyDrawn:
    """From here on the sender's tags on this link use the hash key that stands at `ranges`."""

    link: str
    ranges: tuple[PoolRange, ...]


@dataclass(frozen=True, slots=True)
class BlockCession:
    """The sender has given an unused block to the other direction, durably."""

    link: str
    block: int
    cessions: int
    sequence: int
    ranges: tuple[PoolRange, ...]
    tag: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Chunk:
    """One chunk on one hop: `payload` is padded with `ranges` but their last 128 bits, which mask the tag."""

    link: str
    sequence: int
    relay: str
    route_version: int
    share: int
    shares: int
    forward: bool
    chunk_id: int
    ranges: tuple[PoolRange, ...]
    payload: bytes = field(repr=False)
    tag: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ChunkAck:
    """The sender has passed a chunk on (at the far end: stored it), or refused it."""

    link: str
    sequence: int
    acknowledged: int
    relay: str
    route_version: int
    share: int
    forward: bool
    chunk_id: int
    accepted: bool
    ranges: tuple[PoolRange, ...]
    tag: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class StockMark:
    """One chunk that a far end holds: how far it is used up, and its end-to-end check."""

    chunk_id: int
    mark_bit: int
    tag: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class StockState:
    """What the sender holds as far end of a relay, all of it; first message about a relay on a new connection.

    One that does not answer is answered by one that does.
    """

    relay: str
    answers: bool
    chunks: tuple[StockMark, ...]


@dataclass(frozen=True, slots=True)
class HeadReady:
    """The sender is head of a relay and uses these versions of its routes; the tail waits for it.

    `route_version` is the highest (0: none), `further_versions` are the others (1+1), ascending.
    """

    relay: str
    route_version: int
    further_versions: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ChunkConfirm:
    """The sender, far end of a chunk, holds it durably; `tag` is the masked hash of what it holds."""

    relay: str
    route_version: int
    share: int
    chunk_id: int
    tag: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ChunkVoid:
    """The sender, origin of these chunks, does not hold them (any more): erase them, refuse them if they come."""

    relay: str
    chunk_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Cut:
    """Bits of a stocked chunk: [offset_bit, offset_bit + length_bit)."""

    chunk_id: int
    offset_bit: int
    length_bit: int


@dataclass(frozen=True, slots=True)
class KeyCut:
    """One key, by its UUID (canonical text), and the stocked bits it is made of, in order.

    With `wrapped`, the key goes to slaves at several nodes: one-time-padded with these bits, but the last 256 of them,
    which are hash key and mask of the tag.
    """

    key_id: str
    cuts: tuple[Cut, ...]
    wrapped: bytes = field(default=b"", repr=False)
    tag: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Assign:
    """The origin binds keys to a master and its slaves; nothing is handed out before the answer."""

    relay: str
    application: str
    assignment: int
    master: str
    slaves: tuple[str, ...]
    keys: tuple[KeyCut, ...]


@dataclass(frozen=True, slots=True)
class Assigned:
    """The answer to Assign: the bindings are durable, or (not accepted) nothing was bound."""

    relay: str
    assignment: int
    accepted: bool


@dataclass(frozen=True, slots=True)
class KeyVoid:
    """The origin never hands these keys out: erase them. Repeated on every connection until answered."""

    relay: str
    key_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KeyVoided:
    """The answer to KeyVoid: none of these keys exists here."""

    relay: str
    key_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KeyFetched:
    """From the far end: a slave has these keys. From the origin, on every connection: which of its keys one has."""

    relay: str
    slave: str
    key_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ModuleKeys:
    """Which keys of an upstream source make a block, or the answer. For the link's modules: the key plane ignores it.

    An answer has no `key_ids`; its `key_size_bit` is 0 where the keys could not be fetched.
    """

    link: str
    block: int
    key_ids: tuple[str, ...] = field(repr=False)
    key_size_bit: int
    end_time_ms: int


@dataclass(frozen=True, slots=True)
class SiftBatch:
    """From one end of a link whose key is made of pairs: which of them it measured, and what the last block came to.

    `x_bases` has one bit for each pair, set where it was measured in X. `x_bits` to `z_errors` are about `last_block`,
    the last one that the sender holds (-1: none); all are 0 where it no longer knows. The key plane ignores it.
    """

    link: str
    epoch: int
    batch: int
    route_versions: tuple[int, ...] = field(repr=False)
    sequences: tuple[int, ...] = field(repr=False)
    x_bases: bytes = field(repr=False)
    last_block: int
    x_bits: int
    x_errors: int
    z_bits: int
    z_errors: int


@dataclass(frozen=True, slots=True)
class SiftKept:
    """The answer to SiftBatch: which of its pairs the sender measured in the same basis, and its own bits of them.

    `full`: with them `block` is complete. `again`: the sender knows nothing of this epoch; begin another.
    """

    link: str
    epoch: int
    batch: int
    block: int
    kept: bytes = field(repr=False)
    bits: bytes = field(repr=False)
    full: bool
    again: bool


Message = (
    LinkState
    | BlockCompare
    | BlockGone
    | HashKeyDrawn
    | BlockCession
    | Chunk
    | ChunkAck
    | StockState
    | HeadReady
    | ChunkConfirm
    | ChunkVoid
    | Assign
    | Assigned
    | KeyVoid
    | KeyVoided
    | KeyFetched
    | ModuleKeys
    | SiftBatch
    | SiftKept
)
