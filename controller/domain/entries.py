"""What a node is told, entry by entry, and the digest by which both sides compare it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from controller.domain.entanglement_path import PairUse
from controller.domain.pair_link import Regime
from controller.domain.path_plan import HopPlan, SwapStep
from controller.domain.route import Hop

DIGEST_BYTES: Final = 32
EMPTY_DIGEST: Final = bytes(DIGEST_BYTES)
_MODULUS: Final = 1 << (8 * DIGEST_BYTES)


class HopRole(Enum):
    """Where on a route a node stands. The head end is the relay's source, the far end its target."""

    HEAD = "head"
    TRANSIT = "transit"
    FAR = "far"


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayHopEntry:
    """One node's part in one share of a key relay (GS QKD 015: a VIRT link with previous and next hop).

    Attributes:
        previous, next: The hop on either side; None at the ends.
        far_address: host:port of the other end's peer server; at the ends only, else "".
        head, far: The relay's ends.
        rate_millibit_per_s: Reserved for this share, both directions together.
        chunk_bit: Size of a chunk's payload.
        passive: Takes and passes on what comes, originates nothing on this version; at the head end only.
        stock_low_bit, stock_high_bit: Watermarks of each end's stock of its own direction.
    """

    relay: str
    share: int
    shares: int
    route_version: int
    role: HopRole
    previous: Hop | None
    next: Hop | None
    head: str
    far: str
    far_address: str = ""
    rate_millibit_per_s: int
    forward_share: float
    chunk_bit: int
    stock_low_bit: int
    stock_high_bit: int
    passive: bool = False

    @property
    def id(self) -> str:
        """Return the entry's id: with the version, so that several stand side by side while a route changes."""
        return f"keyRelays/{self.relay}/routes/{self.route_version}/shares/{self.share}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationRemote:
    """A far node that serves SAEs of an application.

    Attributes:
        node, address: Its name, and host:port of its peer server ("" while unknown).
        relay: The key relay that leads there.
        saes: SAE ids served there.
    """

    node: str
    address: str
    relay: str
    saes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationEntry:
    """The association that lets SAEs at a node fetch keys of key relays (GS QKD 015 qkd_app, 014).

    Attributes:
        local_saes: SAE ids served here.
        remotes: Where the others are; at least one, each node once.
        ttl_s: How long an unused key may stay stored.
        max_bandwidth_bit_per_s: Most key that its masters at the node may get together; uint32, 0 for no bound.
    """

    application: str
    local_saes: tuple[str, ...]
    remotes: tuple[ApplicationRemote, ...]
    key_size_bit: int
    ttl_s: int
    priority: int = 0
    max_bandwidth_bit_per_s: int = 0

    @property
    def id(self) -> str:
        """Return the entry's id."""
        return f"applications/{self.application}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkEntry:
    """A node's setting of one of its links (GS QKD 015 qkd_link of type PHYS).

    Attributes:
        neighbour, neighbour_address: The far node's name, and host:port of its peer server ("" while unknown).
        enabled: Whether key, or pairs, are to be generated.
        entanglement: It makes pairs, and no key: what is about key does not count.
        path: Entanglement path whose pairs its key is made of; "" for a link of modules.
    """

    link: str
    local_interface: int
    remote_interface: int
    neighbour: str
    neighbour_address: str
    enabled: bool
    authentication_floor_bit: int
    authentication_rate_millibit_per_s: int
    qber_limit: float
    key_ttl_s: int
    entanglement: bool = False
    path: str = ""

    @property
    def id(self) -> str:
        """Return the entry's id."""
        return f"links/{self.link}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PathEntry:
    """One node's part in an entanglement path: the whole plan, from which it takes what concerns it.

    Attributes:
        nodes: Of the route, head first.
        hops: What each hop does, in route order.
        hop_lengths_m: Fibre length of each hop, rounded; 0 when unknown.
        swaps: The sequence: a segment is named before it is joined; one for each node between the ends.
        lanes: SLOT: width; MEMORY: independent lanes; else 1.
        buffer_pairs: BUFFERED: depth of the buffer of every segment; else 0.
        test_share: Part of the delivered pairs that is measured; in [0, 0.5].
        rate_millihertz, fidelity: Promised; test pairs taken off, mean at the last swap.
        packet_pairs, packet_window_ms: Pairs that have to be alive together; 0 for single pairs.
        key_link: QKD link that the pairs become; "" for none.
        distillation_block_bit: Sifted bits of one block of that key.
        passive: Nothing is made on this version, and what is under way is finished; at the head end only.
    """

    path: str
    route_version: int
    nodes: tuple[str, ...]
    hops: tuple[HopPlan, ...]
    hop_lengths_m: tuple[int, ...]
    swaps: tuple[SwapStep, ...]
    regime: Regime
    lanes: int
    buffer_pairs: int = 0
    use: PairUse = PairUse.KEEP
    purpose: int = 0
    priority: int = 0
    test_share: float = 0.0
    rate_millihertz: int
    fidelity: float
    minimum_fidelity: float
    packet_pairs: int = 0
    packet_window_ms: int = 0
    key_link: str = ""
    distillation_block_bit: int = 0
    passive: bool = False

    @property
    def head(self) -> str:
        """Return the path's source."""
        return self.nodes[0]

    @property
    def far(self) -> str:
        """Return the path's target."""
        return self.nodes[-1]

    @property
    def id(self) -> str:
        """Return the entry's id: with the version, so that several stand side by side while a route changes."""
        return f"entanglementPaths/{self.path}/routes/{self.route_version}"


Entry = RelayHopEntry | ApplicationEntry | LinkEntry | PathEntry


def entry_hash(entry_id: str, content: bytes) -> bytes:
    """Return the SHA-256 of (uint32 big-endian length of id, id, content): 32 bytes."""
    name = entry_id.encode()
    return hashlib.sha256(len(name).to_bytes(4, "big") + name + content).digest()


def digest_of(hashes: Mapping[str, bytes]) -> bytes:
    """Return the digest of a configuration, given the hash of each entry: their sum mod 2^256, 32 bytes.

    A sum can be kept up to date entry by entry and does not depend on order.

    >>> digest_of({}) == EMPTY_DIGEST
    True
    """
    total = sum(int.from_bytes(value, "big") for value in hashes.values()) % _MODULUS
    return total.to_bytes(DIGEST_BYTES, "big")


def digest_moved(digest: bytes, *, removed: bytes | None = None, added: bytes | None = None) -> bytes:
    """Return the digest after one entry's hash was removed, added or replaced.

    >>> a = entry_hash("a", b"1")
    >>> digest_moved(digest_moved(EMPTY_DIGEST, added=a), removed=a) == EMPTY_DIGEST
    True
    """
    total = int.from_bytes(digest, "big")
    total -= int.from_bytes(removed, "big") if removed is not None else 0
    total += int.from_bytes(added, "big") if added is not None else 0
    return (total % _MODULUS).to_bytes(DIGEST_BYTES, "big")
