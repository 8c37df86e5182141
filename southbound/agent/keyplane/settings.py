"""What the controller tells a node's key plane: its links, its part in each relay, and who may ask for keys."""

import math
from dataclasses import dataclass
from enum import StrEnum

from controller.domain.key_relay import MAX_SHARES
from controller.domain.refusals import InvalidValue

HopName = tuple[str, int, int]
"""Relay, version of its routes, share."""


class Measure(StrEnum):
    """What a QKD technology reports about the disturbance of a block."""

    QBER = "QBER"
    """Quantum bit error ratio, in [0, 1]; too high is bad."""
    EXCESS_NOISE = "EXCESS_NOISE"
    """Excess noise in shot-noise units, >= 0; too high is bad."""
    VISIBILITY = "VISIBILITY"
    """Interference visibility, in [0, 1]; too low is bad."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSetting:
    """One QKD link of this node.

    Attributes:
        link: Name of the link; the same at both ends.
        neighbour: Name of the node at its other end.
        authentication_floor_bit: Stored key (both directions together) that relays never draw below; >= 0.
        key_ttl_s: Age at which a stored block is erased; > 0.
        measure: What the link's technology measures.
        measure_limit: A block beyond it (below it for VISIBILITY) yields no key.
        quarantine_last_s: Blocks younger than this are set aside; >= 0, 0 for none.

    Raises:
        InvalidValue: A field is out of range; names the link and the field.
    """

    link: str
    neighbour: str
    authentication_floor_bit: int = 0
    key_ttl_s: float = 7 * 86400.0
    measure: Measure = Measure.QBER
    measure_limit: float = 0.11
    quarantine_last_s: float = 0.0

    def __post_init__(self) -> None:
        place = f"links/{self.link}"
        if self.authentication_floor_bit < 0:
            raise InvalidValue(place, ("authentication_floor_bit", f"{self.authentication_floor_bit} is negative"))
        if not self.key_ttl_s > 0:
            raise InvalidValue(place, ("key_ttl_s", f"{self.key_ttl_s} is not above 0"))
        if not self.quarantine_last_s >= 0:
            raise InvalidValue(place, ("quarantine_last_s", f"{self.quarantine_last_s} is negative"))
        if not self.measure_limit >= 0:
            raise InvalidValue(place, ("measure_limit", f"{self.measure_limit} is negative"))

    def yields_key(self, measured: float) -> bool:
        """Tell whether a block with that measured disturbance may be used (NaN may not)."""
        if self.measure is Measure.VISIBILITY:
            return measured >= self.measure_limit
        return measured <= self.measure_limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """The way to the next node of a route: parallel links are distinct, so both are named."""

    link: str
    node: str


def direction_rate_millibit_per_s(rate_millibit_per_s: int, forward_share: float, *, forward: bool) -> int:
    """Return the part of a relay's rate that a direction is promised, rounded up; 0 where nothing is."""
    part = forward_share if forward else 1.0 - forward_share
    return min(rate_millibit_per_s, math.ceil(rate_millibit_per_s * part))


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayHop:
    """A node's part in one share of one version of a key relay's routes.

    A relay carries both directions: `head` is the origin of the forward one, `tail` of the other. Several versions
    stand side by side while a route changes, and for as long as there is a backup.

    Attributes:
        relay: Name of the key relay.
        route_version: Version of the routes, rises with every change; >= 1. Chunks of versions not set are refused.
        share, shares: Which XOR share this is (0-based) and of how many; a version is used once all are set.
        head, tail: The two ends of the relay.
        previous: The hop towards the head; None at the head.
        next: The hop towards the tail; None at the tail.
        rate_millibit_per_s: Promised end-to-end key, both directions together; > 0.
        forward_share: Which part of the rate is for keys of which the head is origin; in [0, 1].
        chunk_bit: Key bits in one chunk; a multiple of 8, in [64, 2^20].
        stock_low_bit, stock_high_bit: Each origin end refills below low, up to high; low <= high >= chunk_bit.
        passive: Takes and passes what comes, originates nothing; at the head only, the tail hears of it from there.

    Raises:
        InvalidValue: A field is out of range; names the relay and the field.
    """

    relay: str
    route_version: int
    share: int = 0
    shares: int = 1
    head: str
    tail: str
    previous: Hop | None
    next: Hop | None
    rate_millibit_per_s: int
    forward_share: float = 0.5
    chunk_bit: int
    stock_low_bit: int
    stock_high_bit: int
    passive: bool = False

    def __post_init__(self) -> None:
        place = f"keyRelays/{self.relay}"
        if not 1 <= self.shares <= MAX_SHARES:
            raise InvalidValue(place, ("shares", f"{self.shares} is not in [1, {MAX_SHARES}]"))
        if not 0 <= self.share < self.shares:
            raise InvalidValue(place, ("share", f"{self.share} is not in [0, shares)"))
        if self.route_version < 1:
            raise InvalidValue(place, ("route_version", f"{self.route_version} is below 1"))
        if self.head == self.tail:
            raise InvalidValue(place, ("tail", f"is the head itself, {self.head}"))
        if self.previous is None and self.next is None:
            raise InvalidValue(place, ("next", "a hop leads somewhere: previous or next must be given"))
        if self.rate_millibit_per_s <= 0:
            raise InvalidValue(place, ("rate_millibit_per_s", f"{self.rate_millibit_per_s} is not above 0"))
        if not (math.isfinite(self.forward_share) and 0 <= self.forward_share <= 1):
            raise InvalidValue(place, ("forward_share", f"{self.forward_share} is not in [0, 1]"))
        if self.chunk_bit % 8 or not 64 <= self.chunk_bit <= 1 << 20:
            raise InvalidValue(place, ("chunk_bit", f"{self.chunk_bit} is not a multiple of 8 in [64, 2^20]"))
        if not 0 <= self.stock_low_bit <= self.stock_high_bit:
            raise InvalidValue(place, ("stock_low_bit", f"{self.stock_low_bit} is not in [0, stock_high_bit]"))
        if self.stock_high_bit < self.chunk_bit:
            raise InvalidValue(place, ("stock_high_bit", f"{self.stock_high_bit} is below one chunk"))

    @property
    def name(self) -> "HopName":
        """Return what tells the hop from the others at its node."""
        return self.relay, self.route_version, self.share

    def outward(self, *, forward: bool) -> Hop | None:
        """Return the hop that a chunk of that direction takes from here, or None where it ends."""
        return self.next if forward else self.previous

    def inward(self, *, forward: bool) -> Hop | None:
        """Return the hop by which a chunk of that direction comes here, or None where it begins."""
        return self.previous if forward else self.next

    def origin(self, *, forward: bool) -> str:
        """Return the end that makes the keys of that direction."""
        return self.head if forward else self.tail

    def direction_rate_millibit_per_s(self, *, forward: bool) -> int:
        """Return the part of the rate that a direction is promised, rounded up; 0 where nothing is."""
        return direction_rate_millibit_per_s(self.rate_millibit_per_s, self.forward_share, forward=forward)


@dataclass(frozen=True, slots=True, kw_only=True)
class Association:
    """Who may ask this node for keys with whom, and from which relay the keys come.

    Attributes:
        application: Name of the application.
        relay: The key relay whose stock its keys are cut from.
        remote_node: The node (KME) at the relay's other end.
        local_saes, remote_saes: SAE ids at this node, and at the other; any pair of them is served.
        key_size_bit: Default size of a key; multiples of 8, min <= default <= max.
        key_size_min_bit, key_size_max_bit: Bounds of what may be asked for.
        keys_per_request_max: Keys in one answer; >= 1.
        key_ttl_s: How long a key that was handed out waits for its slave, and stock for being handed out; > 0.
        max_bandwidth_bit_per_s: Most key that the application's masters here get together; 0: as much as there is.

    Raises:
        InvalidValue: A field is out of range; names the application and the field.
    """

    application: str
    relay: str
    remote_node: str
    local_saes: tuple[str, ...]
    remote_saes: tuple[str, ...]
    key_size_bit: int = 256
    key_size_min_bit: int = 64
    key_size_max_bit: int = 4096
    keys_per_request_max: int = 128
    key_ttl_s: float = 86400.0
    max_bandwidth_bit_per_s: int = 0

    def __post_init__(self) -> None:
        place = f"applications/{self.application}"
        for field in ("key_size_bit", "key_size_min_bit", "key_size_max_bit"):
            size: int = getattr(self, field)
            if size <= 0 or size % 8:
                raise InvalidValue(place, (field, f"{size} is not a positive multiple of 8"))
        if not self.key_size_min_bit <= self.key_size_bit <= self.key_size_max_bit:
            raise InvalidValue(
                place, ("key_size_bit", "key_size_min_bit <= key_size_bit <= key_size_max_bit does not hold")
            )
        if self.keys_per_request_max < 1:
            raise InvalidValue(place, ("keys_per_request_max", f"{self.keys_per_request_max} is below 1"))
        if not self.key_ttl_s > 0:
            raise InvalidValue(place, ("key_ttl_s", f"{self.key_ttl_s} is not above 0"))
        if self.max_bandwidth_bit_per_s < 0:
            raise InvalidValue(place, ("max_bandwidth_bit_per_s", f"{self.max_bandwidth_bit_per_s} is negative"))
        if set(self.local_saes) & set(self.remote_saes):
            raise InvalidValue(place, ("remote_saes", "names an SAE that is also local"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything the key plane is told, complete: what is not named here is not served.

    A hop over a link that is not set, or that leads to another node than it says, is not served either.
    A link that is not named any more keeps its key until its time ends; a relay that has neither a hop
    here nor an association loses its stock at once.

    Raises:
        InvalidValue: Two settings of one kind have the same name.
    """

    links: tuple[LinkSetting, ...] = ()
    relays: tuple[RelayHop, ...] = ()
    associations: tuple[Association, ...] = ()

    def __post_init__(self) -> None:
        for field, names in (
            ("links", [setting.link for setting in self.links]),
            ("relays", [f"{hop.relay}/{hop.route_version}/{hop.share}" for hop in self.relays]),
            ("associations", [f"{one.application}/{one.relay}" for one in self.associations]),
        ):
            if doubled := {name for name in names if names.count(name) > 1}:
                raise InvalidValue("settings", (field, f"named twice: {', '.join(sorted(doubled))}"))
