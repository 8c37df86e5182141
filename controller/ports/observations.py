"""What agents last reported, for metrics and the API: measurements, never stored and never decided on."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from controller.domain.link import LinkStatus

MAX_BLOCKS = 32
"""How many of a link's newest blocks are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockObservation:
    """One finished block of a module.

    Attributes:
        block: Its number; never repeats on a link.
        end_time_ms: Wall clock of the node; milliseconds since 1970.
        secret_bit: What it yielded; 0 when refused.
        measure: "QBER", "EXCESS_NOISE" or "VISIBILITY"; "" when unknown.
        performance: The measured value: a ratio in [0, 1], or shot-noise units for excess noise.
    """

    block: int
    end_time_ms: int
    duration_ms: int
    secret_bit: int
    measure: str
    performance: float

    @property
    def qber(self) -> float | None:
        """Return the quantum bit error rate, a ratio in [0, 1]; None when the module measures something else."""
        return self.performance if self.measure == "QBER" else None


@dataclass(frozen=True, slots=True, kw_only=True)
class FidelityObservation:
    """What pairs that were measured, and so consumed, tell of a fidelity: an estimate, F = <Phi+|rho|Phi+>.

    Attributes:
        fidelity: The estimate; ratio in [0, 1].
        low, high: Ends of its 95 % interval.
        samples: Pairs that were measured for it.
        age_ms: Of the oldest of them, when it was said.
    """

    fidelity: float
    low: float
    high: float
    samples: int
    age_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PairLinkObservation:
    """What an end measures of the pairs of a link.

    Attributes:
        rate_millihertz: Pairs heralded per 1,000 s, over the last report intervals.
        pair_total: Pairs ever heralded.
        memory_pairs_in_use: Memory pairs that hold a pair now.
        fidelity: None before the first test pair.
    """

    rate_millihertz: int = 0
    pair_total: int = 0
    memory_pairs_in_use: int = 0
    fidelity: FidelityObservation | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkObservation:
    """One end's last word on a link.

    Attributes:
        status: As this end sees it; None when it did not say.
        down_reason: "" while the channel works.
        stored_outbound_bit, stored_inbound_bit: In the pool that this end sends from, and receives on.
        generated_bit_total, consumed_bit_total, burnt_bit_total: Since the agent's store was made.
        skr_millibit_per_s: Over the last blocks.
        promised_skr_millibit_per_s: None before 20 blocks.
        blocks: The newest, oldest first, at most MAX_BLOCKS.
        pairs: What it makes of pairs; None on a link that makes key.
        heard_ms: When it was said, on our monotonic clock.
    """

    node: str
    link: str
    status: LinkStatus | None = None
    down_reason: str = ""
    stored_outbound_bit: int = 0
    stored_inbound_bit: int = 0
    generated_bit_total: int = 0
    consumed_bit_total: int = 0
    burnt_bit_total: int = 0
    skr_millibit_per_s: int = 0
    promised_skr_millibit_per_s: int | None = None
    exhausted: bool = False
    neighbour_unreachable: bool = False
    blocks: tuple[BlockObservation, ...] = ()
    pairs: PairLinkObservation | None = None
    heard_ms: int = 0

    @property
    def stored_bit(self) -> int:
        """Return what is stored at this end, both directions."""
        return self.stored_outbound_bit + self.stored_inbound_bit

    @property
    def qber(self) -> float | None:
        """Return the QBER of the newest block that has one; a ratio in [0, 1]."""
        return next((block.qber for block in reversed(self.blocks) if block.qber is not None), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayObservation:
    """One end's last word on a key relay.

    Attributes:
        confirmed: A key that originates here was confirmed end to end on this route version.
        stock_bit: Originates here and can be delivered.
        confirmed_bit_total, delivered_bit_total, voided_chunk_total: Since the agent's store was made.
        starved: Below its low watermark, and slower than promised.
        heard_ms: When it was said, on our monotonic clock.
    """

    node: str
    relay: str
    route_version: int
    confirmed: bool = False
    stock_bit: int = 0
    confirmed_bit_total: int = 0
    delivered_bit_total: int = 0
    voided_chunk_total: int = 0
    starved: bool = False
    heard_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PathObservation:
    """One end's last word on an entanglement path.

    Attributes:
        path: Its id.
        confirmed: A pair was delivered to both ends on this route version.
        rate_millihertz: Pairs delivered per 1,000 s over the window, test pairs not counted.
        delivered_total, packet_total: Ever, test pairs not counted.
        dropped_total: Pairs dropped by a cut-off, and swaps that failed.
        fidelity: What test pairs tell; None before the first. An estimate.
        tracked_fidelity: Mean fidelity of delivered pairs as an emulation tracks their states, which nobody knows of
            real hardware: None there. Never decided on.
        starved: Fewer pairs than promised over the window.
        sifted_bit: Of the block that is being filled, for a path that makes key.
        heard_ms: When it was said, on our monotonic clock.
    """

    node: str
    path: str
    route_version: int
    confirmed: bool = False
    rate_millihertz: int = 0
    delivered_total: int = 0
    packet_total: int = 0
    dropped_total: int = 0
    fidelity: FidelityObservation | None = None
    tracked_fidelity: float | None = None
    starved: bool = False
    sifted_bit: int = 0
    heard_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentObservation:
    """How an agent stands.

    Attributes:
        connected: Holds a session now.
        session_start_ms, last_heard_ms: On our monotonic clock.
        confirmed_version: Revision of the update in force.
        in_force_digest: Of the configuration in force, 32 bytes; b"" while unknown.
        in_force_entries: How many entries that is.
        desired_digest: Of what is wanted; equal when nothing is to be done.
        refused: By entry id, (status code name, message) of what it refuses now.
        queue_fill: Its longest queue over its size; ratio in [0, 1].
        clock_offset_ms: Estimated offset from UTC; None when unknown.
        outgoing: Messages that wait for it here.
        memories_in_use: Qubits that hold a half of a pair now; None on a node without memories.
        ended_because: Why its last session ended; "" while connected.
    """

    node: str
    connected: bool = False
    store_id: str = ""
    agent_version: str = ""
    session_start_ms: int = 0
    last_heard_ms: int = 0
    confirmed_version: int = 0
    in_force_digest: bytes = b""
    in_force_entries: int = 0
    desired_digest: bytes = b""
    refused: Mapping[str, tuple[str, str]] = field(default_factory=lambda: MappingProxyType({}))
    queue_fill: float = 0.0
    clock_offset_ms: float | None = None
    outgoing: int = 0
    memories_in_use: int | None = None
    ended_because: str = ""


class Observations:
    """The last word of every agent.

    One thread writes (the asyncio thread), any thread reads, without locks: values are frozen and replaced whole,
    and a reader of many takes a copy of the table, which the interpreter makes in one step.
    """

    def __init__(self) -> None:
        self._links: dict[tuple[str, str], LinkObservation] = {}
        self._relays: dict[tuple[str, str], RelayObservation] = {}
        self._paths: dict[tuple[str, str], PathObservation] = {}
        self._agents: dict[str, AgentObservation] = {}

    def link(self, link: str, node: str) -> LinkObservation | None:
        """Return what the node last said of the link."""
        return self._links.get((link, node))

    def relay(self, relay: str, node: str) -> RelayObservation | None:
        """Return what the node last said of the relay."""
        return self._relays.get((relay, node))

    def path(self, path: str, node: str) -> PathObservation | None:
        """Return what the node last said of the entanglement path."""
        return self._paths.get((path, node))

    def agent(self, node: str) -> AgentObservation | None:
        """Return how the node's agent stands; None when it was never there."""
        return self._agents.get(node)

    def links(self) -> dict[tuple[str, str], LinkObservation]:
        """Return all, by (link, node); a copy."""
        return self._links.copy()

    def relays(self) -> dict[tuple[str, str], RelayObservation]:
        """Return all, by (relay, node); a copy."""
        return self._relays.copy()

    def paths(self) -> dict[tuple[str, str], PathObservation]:
        """Return all, by (path, node); a copy."""
        return self._paths.copy()

    def agents(self) -> dict[str, AgentObservation]:
        """Return all, by node; a copy."""
        return self._agents.copy()

    def put(self, *observations: LinkObservation | RelayObservation | PathObservation | AgentObservation) -> None:
        """Replace what was there under the same key."""
        for observation in observations:
            match observation:
                case LinkObservation():
                    self._links[observation.link, observation.node] = observation
                case RelayObservation():
                    self._relays[observation.relay, observation.node] = observation
                case PathObservation():
                    self._paths[observation.path, observation.node] = observation
                case AgentObservation():
                    self._agents[observation.node] = observation

    def keep_only(self, node: str, *, links: Iterable[str], relays: Iterable[str], paths: Iterable[str] = ()) -> None:
        """Drop what the node said of other links, relays and paths: a complete report did not name them."""
        tables: tuple[tuple[dict[tuple[str, str], Any], Iterable[str]], ...] = (
            (self._links, links),
            (self._relays, relays),
            (self._paths, paths),
        )
        for table, names in tables:
            kept = set(names)
            for key in [key for key in table if key[1] == node and key[0] not in kept]:
                del table[key]

    def forget(self, node: str) -> None:
        """Drop all that the node ever said."""
        self.keep_only(node, links=(), relays=())
        self._agents.pop(node, None)
