"""What goes into a node's key plane and what comes out: the contract with the shell that runs it.

The key plane (`KeyPlane` in `plane.py`) decides; the shell owns the clock, the random source, the
disk, the peer streams, the QKD module and the HTTP server. The shell turns whatever happens into an
event, calls `handle(event)`, and carries out the effects that come back.

**Order.** Effects are ordered. The shell makes ALL `Persist`, `Erase` and `Append` effects of a batch
durable, in this order and in one transaction, BEFORE it performs any `Send` or `Answer` of the same
batch. It may join the effects of several events into one batch (group commit), keeping their order. A
batch without those three needs no transaction. `Send`s to one node keep their order. If the
transaction fails, the process must end: the plane's memory is ahead of the disk by then.

**Restart.** `restore(records, now_s)` on a fresh plane, with every record that is persisted and not
erased, in any order; carry out its effects like a batch; then one `Configure` with the complete
settings; then everything else. Ledger entries are never read back.

**Time** (`now_s`) is a service time in seconds that never goes back and goes on over a restart (else
key would outlive its time to live). Any resolution. `WakeAt(at_s)` asks for a `Tick` at that time or soon
after; a later `WakeAt` replaces an earlier one; ticks that nobody asked for do no harm.

**Chance.** The plane holds a reservoir of random bytes. `NeedEntropy(byte_count)` asks for at least so
many; the shell answers with `Entropy(data)`, from the operating system's generator, in full and used
for nothing else. Until then the work that needs them waits.

**Peers.** One ordered, reliable, mutually authenticated stream per pair of nodes that need one
(`peers()` names them). `PeerUp(node)` when it stands, before the first message of it; `PeerDown(node)`
when it ends; never a message of an older stream after the newer one's `PeerUp`. Messages that
were sent may be lost when a stream ends, never reordered. A `Send` to a node that is not up is dropped.

**Module.** `BlockFinished` gives a block's bits, the same at both ends of a link under the same number;
numbers never repeat on a link and rise. A block is handed over once, after the link was configured; one
that the process lost before the transaction is lost. The first 384 bits of a block compare it.

**Keys out.** `GetKeys` (014 `enc_keys`) and `GetKeysById` (`dec_keys`) are each answered by exactly one
`Answer` with the same `request`, in the same batch or a later one. `status()` is asked directly.

**Alarms** are raised and cleared by (kind, object); raising twice is harmless. They are not persisted.

Nothing here or in the ledger logs key material: fields that hold it are kept out of `repr`.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from southbound.agent.keyplane.ledger import LedgerEntry
from southbound.agent.keyplane.messages import Message
from southbound.agent.keyplane.settings import Settings

# ---------------------------------------------------------------- what happens


@dataclass(frozen=True, slots=True, kw_only=True)
class Configure:
    """The settings from now on, complete. A version of a relay's routes that is gone voids what is in flight on it."""

    now_s: float
    settings: Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerUp:
    """A stream to that node stands."""

    now_s: float
    node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerDown:
    """The stream to that node has ended."""

    now_s: float
    node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A message came on the stream from that node."""

    now_s: float
    node: str
    message: Message


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockFinished:
    """The module of a link has distilled a block.

    Attributes:
        block: Its number; rises on a link and never repeats.
        key: The secret bits; empty if the module distilled none.
        measured: Disturbance of the block in the link's measure; None where its module does not tell.
    """

    now_s: float
    link: str
    block: int
    key: bytes = field(repr=False)
    measured: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GetKeys:
    """A master asks for keys (014 `enc_keys`).

    Attributes:
        request: The shell's number of the request, unique in the life of the process.
        master: The caller, from its certificate.
        slave: The SAE it wants to share the keys with.
        number: How many; 1 if not said.
        size_bit: Size of each; the association's default if None.
        more_slaves: Further SAEs that shall get the same keys, none of them named twice.
    """

    now_s: float
    request: int
    master: str
    slave: str
    number: int = 1
    size_bit: int | None = None
    more_slaves: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GetKeysById:
    """A slave asks for the keys that a master got (014 `dec_keys`).

    Attributes:
        request: The shell's number of the request.
        slave: The caller, from its certificate.
        master: The SAE named in the path.
        key_ids: UUIDs in canonical lower-case text, at least one.
    """

    now_s: float
    request: int
    slave: str
    master: str
    key_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entropy:
    """Random bytes from the operating system, used for nothing else."""

    now_s: float
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """Time has passed."""

    now_s: float


Event = Configure | PeerUp | PeerDown | Received | BlockFinished | GetKeys | GetKeysById | Entropy | Tick

# ---------------------------------------------------------------- what to do


@dataclass(frozen=True, slots=True)
class Record:
    """One durable value of the plane.

    Attributes:
        table, key: Its name; a later Persist of the same name replaces it.
        meta: JSON without key material.
        secret: Key material, empty where there is none. Overwrite it on disk when it is erased or replaced.
    """

    table: str
    key: str
    meta: str
    secret: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Persist:
    """Write a record."""

    record: Record


@dataclass(frozen=True, slots=True)
class Erase:
    """Erase a record, its secret beyond recovery; not being there is no mistake."""

    table: str
    key: str


@dataclass(frozen=True, slots=True)
class Append:
    """Append a line to the ledger."""

    entry: LedgerEntry


@dataclass(frozen=True, slots=True)
class Send:
    """Send a message on the stream to a node; drop it if there is none."""

    node: str
    message: Message


@dataclass(frozen=True, slots=True)
class DeliveredKey:
    """A key on its way to an SAE."""

    key_id: str
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a request for keys.

    Attributes:
        request: As in the event.
        status: 200, 400, 401 or 503, as GS QKD 014 uses them.
        message: For the body of 400 and 503; empty for 401, whose body is empty.
        keys: For 200.
        retry_after_s: With 503: after which time it will do; 0 where that can't be said.
    """

    request: int
    status: int
    message: str = ""
    keys: tuple[DeliveredKey, ...] = ()
    retry_after_s: int = 0


class AlarmKind(StrEnum):
    """What an operator must know. `object` is `links/{link}` or `keyRelays/{relay}`."""

    BLOCK_DISTURBED = "BLOCK_DISTURBED"
    """A block was beyond the link's limit and yielded no key: fault or eavesdropping, undetermined.

    Cleared by a good block.
    """
    BLOCK_MISMATCH = "BLOCK_MISMATCH"
    """The two ends got different bits. Cleared by a good block."""
    STORE_OLDER_THAN_PEER = "STORE_OLDER_THAN_PEER"
    """This node's store is older than its peer's (restored from a backup?); what may have been used was burnt.

    Cleared by the first block compared, or chunk confirmed, since then.
    """
    TAG_INVALID = "TAG_INVALID"
    """A message of a neighbour, or a wrapped key, failed authentication: fault or attack, undetermined."""
    CHECK_FAILED = "CHECK_FAILED"
    """A chunk came out different at the far end and was voided; names the routes that it took."""


@dataclass(frozen=True, slots=True)
class RaiseAlarm:
    """An alarm stands."""

    kind: AlarmKind
    object: str
    text: str


@dataclass(frozen=True, slots=True)
class ClearAlarm:
    """An alarm no longer stands."""

    kind: AlarmKind
    object: str


@dataclass(frozen=True, slots=True)
class RouteConfirmed:
    """The first chunk that this node is origin of was confirmed end to end on this version of a relay's route."""

    relay: str
    route_version: int


@dataclass(frozen=True, slots=True)
class RoutesChanged:
    """What `RelayFigures` says of a relay's versions (in use, confirmed, not drained) has changed."""

    relay: str


@dataclass(frozen=True, slots=True)
class WakeAt:
    """A Tick is wanted at that time; replaces the last WakeAt."""

    at_s: float


@dataclass(frozen=True, slots=True)
class NeedEntropy:
    """At least so many random bytes are wanted."""

    byte_count: int


Effect = (
    Persist
    | Erase
    | Append
    | Send
    | Answer
    | RaiseAlarm
    | ClearAlarm
    | RouteConfirmed
    | RoutesChanged
    | WakeAt
    | NeedEntropy
)

# ---------------------------------------------------------------- what can be asked


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyStatus:
    """The figures of 014's `status` for a pair of SAEs; sizes in bit.

    Attributes:
        stored_key_count: Keys of the default size that a request would get now; 0 while the far end is not connected.
        max_key_count: Upper bound of it.
        max_sae_id_count: Further slaves that a request may name: the others that one application has elsewhere.
    """

    source_kme: str
    target_kme: str
    master: str
    slave: str
    key_size_bit: int
    stored_key_count: int
    max_key_count: int
    max_key_per_request: int
    max_key_size_bit: int
    min_key_size_bit: int
    max_sae_id_count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkFigures:
    """A link's key store, in bit; counters start at 0 with the process.

    Attributes:
        stored_bit: Compared and unused, both directions.
        sendable_bit: Of these, what this node may send with.
        usable_bit: stored_bit less the authentication floor, never below 0.
        exhausted: No relay on the link can send another chunk over it, either way; without relays: nothing is usable.
        consumed_bit, burnt_bit: Counters: used; lost to gaps, crashes and the end of their time.
        blocks: Counter of blocks that were stored.
        measured: Disturbance of the newest block, None before the first.
        synchronised: Whether the neighbour is connected and marks were compared.
    """

    link: str
    neighbour: str
    stored_bit: int
    sendable_bit: int
    usable_bit: int
    exhausted: bool
    consumed_bit: int
    burnt_bit: int
    blocks: int
    measured: float | None
    synchronised: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayFigures:
    """A relay at one of its ends, in bit; counters start at 0 with the process.

    Attributes:
        route_version: The highest version in use, as last known here (the head decides); 0 if none is.
        versions: All that are set here in full, ascending.
        confirmed_versions: Those of them on which a chunk of this origin was confirmed, ascending.
        undrained_versions: Those not in use on which chunks of this origin are still under way, ascending.
        available_bit: Confirmed and unused, of which this node is origin.
        unconfirmed_bit: Sent, not confirmed.
        held_bit: Held as far end, unused.
        confirmed_bit, voided_bit, delivered_bit: Counters.
    """

    relay: str
    far_node: str
    route_version: int
    versions: tuple[int, ...]
    confirmed_versions: tuple[int, ...]
    undrained_versions: tuple[int, ...]
    available_bit: int
    unconfirmed_bit: int
    held_bit: int
    confirmed_bit: int
    voided_bit: int
    delivered_bit: int

    @property
    def confirmed_version(self) -> int:
        """Return the newest version on which a chunk of this origin was confirmed; 0 before the first."""
        return max(self.confirmed_versions, default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What reports and metrics are made of."""

    links: tuple[LinkFigures, ...]
    relays: tuple[RelayFigures, ...]
