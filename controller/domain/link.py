"""A quantum link between two neighbours, what its figures rest on, and what is known of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Final

from controller.domain.names import label
from controller.domain.pair_link import PairModel
from controller.domain.refusals import InvalidValue

# GS QKD 015 carries rates as uint32 bit/s; a figure beyond that cannot be told to a node.
MAX_RATE_MILLIBIT_PER_S = (2**32 - 1) * 1000


class LinkKind(Enum):
    """What a link produces."""

    QKD = "QKD"
    ENTANGLEMENT = "ENTANGLEMENT"


class Establishment(Enum):
    """Whether a link could be made, or is. Only established links have capacity."""

    POSSIBLE = "possible"
    ESTABLISHED = "established"


class Basis(Enum):
    """What a figure rests on."""

    MEASURED = "measured"
    DERIVED = "derived"
    ASSUMED = "assumed"


class LinkStatus(Enum):
    """GS QKD 015 link-status-types."""

    ACTIVE = "ACTIVE"
    PASSIVE = "PASSIVE"
    PENDING = "PENDING"
    OFF = "OFF"


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where a figure comes from."""

    basis: Basis
    source: str


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class LinkEnd:
    """One end of a link: a node and the number of its interface."""

    node: str
    interface: int


MAX_DUCTS: Final = 64
"""Most ducts of one link."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A neighbour-to-neighbour quantum link. Two nodes may be joined by several.

    Attributes:
        name: DNS label.
        ends: Its two ends, at different nodes, the smaller node name first.
        ducts: What else it shares a fate with, by name: fibre ducts, cables, buildings that it passes.
        length_km: Fibre length; >= 0; None when unknown.
        loss_db: Channel loss; >= 0; None when unknown.
        model_skr_millibit_per_s: Secret key rate that its model or its operator promises, before anything is measured.
        authentication_rate_millibit_per_s: Key that the link needs for itself; taken off its capacity.
        authentication_floor_bit: Stored key that relays and stocks never draw below.
        expected_qber: Ratio in [0, 0.5]; None when unknown.
        qber_limit: A block above it yields no key; ratio in (0, 0.5].
        key_ttl_s: How long stored key may wait before it is erased; > 0.
        pairs: What it does for entanglement; None for a link that makes key.
        path: Entanglement path whose pairs its key is made of; "" for a link of modules. Set by the controller.
        provenance: By field name, what the figure rests on.
        admin_enabled: False switches key generation off.
        maintenance: True while people work on it: no new services, what runs stays.
    """

    name: str
    kind: LinkKind = LinkKind.QKD
    establishment: Establishment = Establishment.ESTABLISHED
    ends: tuple[LinkEnd, LinkEnd]
    ducts: frozenset[str] = frozenset()
    length_km: float | None = None
    loss_db: float | None = None
    model_skr_millibit_per_s: int
    authentication_rate_millibit_per_s: int = 0
    authentication_floor_bit: int = 0
    expected_qber: float | None = None
    qber_limit: float = 0.11
    key_ttl_s: int = 7 * 24 * 3600
    provenance: Mapping[str, Provenance] = field(default_factory=lambda: MappingProxyType({}))
    admin_enabled: bool = True
    maintenance: bool = False
    pairs: PairModel | None = None
    path: str = ""

    def __post_init__(self) -> None:
        where = f"links/{self.name}"
        label(where, "name", self.name)
        if len(self.ducts) > MAX_DUCTS:
            raise InvalidValue(where, ("ducts", f"{len(self.ducts)} ducts; at most {MAX_DUCTS}"))
        for duct in sorted(self.ducts):
            label(where, "ducts", duct)
        first, second = self.ends
        if first.node == second.node:
            raise InvalidValue(where, ("ends", f"both ends are at nodes/{first.node}"))
        if first.node > second.node:
            raise InvalidValue(where, ("ends", "the smaller node name comes first"))
        for name, rate in (
            ("model_skr_millibit_per_s", self.model_skr_millibit_per_s),
            ("authentication_rate_millibit_per_s", self.authentication_rate_millibit_per_s),
        ):
            if not 0 <= rate <= MAX_RATE_MILLIBIT_PER_S:
                raise InvalidValue(where, (name, f"{rate} is not in 0..{MAX_RATE_MILLIBIT_PER_S}"))
        if self.authentication_floor_bit < 0:
            raise InvalidValue(where, ("authentication_floor_bit", "is negative"))
        if self.kind is LinkKind.ENTANGLEMENT and self.pairs is None:
            raise InvalidValue(where, ("pairs", "a link of kind ENTANGLEMENT needs its pair model"))
        if self.kind is LinkKind.QKD and self.pairs is not None:
            raise InvalidValue(where, ("pairs", "a link of kind QKD has no pair model"))
        if not 0 < self.qber_limit <= 0.5:
            raise InvalidValue(where, ("qber_limit", f"{self.qber_limit} is not in (0, 0.5]"))
        if self.key_ttl_s <= 0:
            raise InvalidValue(where, ("key_ttl_s", "is not positive"))

    @property
    def nodes(self) -> tuple[str, str]:
        """Return the names of its two nodes, the smaller first."""
        return self.ends[0].node, self.ends[1].node

    def far(self, node: str) -> str:
        """Return the other node of the link."""
        first, second = self.nodes
        return second if node == first else first


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkCondition:
    """What admission relies on of a link: a decision, committed; raw measurements are not stored.

    Attributes:
        down_at: Nodes whose last word is that the link's quantum channel is down: down needs one end's word,
            up needs both.
        down_reason: What the first of them said.
        exhausted: Its stored key has come down to the floor while it was down.
        promised_skr_millibit_per_s: Measured promise after hysteresis; None counts with the model.
        unreachable_from: Nodes that say they do not hear the other end.
        flap_penalty, flap_at_ms: How much it flapped, as of that service time; decays with time.
        damped: It flaps too much to be given anything new.
        pair_rate_permille: Measured pairs of an entanglement link in thousandths of its model's, after hysteresis;
            None counts with the model.
        pair_fidelity_loss_permille: By how many thousandths the measured fidelity is below the model's, after
            hysteresis; None counts with the model.
    """

    down_at: frozenset[str] = frozenset()
    down_reason: str = ""
    exhausted: bool = False
    promised_skr_millibit_per_s: int | None = None
    unreachable_from: frozenset[str] = frozenset()
    flap_penalty: int = 0
    flap_at_ms: int = 0
    damped: bool = False
    pair_rate_permille: int | None = None
    pair_fidelity_loss_permille: int | None = None

    @property
    def pair_worth(self) -> tuple[int, int]:
        """Return (part of the model's pairs, fidelity against the model's), in thousandths; more is better of each."""
        rate = 1000 if self.pair_rate_permille is None else self.pair_rate_permille
        return rate, -(self.pair_fidelity_loss_permille or 0)

    @property
    def generating(self) -> bool:
        """Tell whether no end says the channel is down."""
        return not self.down_at


UNKNOWN_CONDITION = LinkCondition()


def link_status(link: Link, condition: LinkCondition) -> LinkStatus:
    """Return the GS QKD 015 status that fits."""
    if link.establishment is Establishment.POSSIBLE:
        return LinkStatus.PENDING
    if not link.admin_enabled:
        return LinkStatus.OFF
    if condition.generating:
        return LinkStatus.ACTIVE
    return LinkStatus.OFF if condition.exhausted else LinkStatus.PASSIVE
