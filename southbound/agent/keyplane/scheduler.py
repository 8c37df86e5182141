"""Who may draw link key: every relay what it reserved, and anybody what nobody claims.

One bucket per share of a relay and link direction, whatever versions of its routes cross the link: an old and a
new one take turns, and the larger claim counts. It fills at the relay's reserved rate, tags included, up to
what ten seconds bring (and two chunks). A relay with a full enough bucket draws as long as key is left;
one that has spent its bucket may still draw what exceeds the claims of all others. So a relay that asks
for everything gets all that lies idle, and never what another has reserved.

Acknowledgements have a bucket of their own: they answer to what the neighbour chose to send, lent key
included, and must not use up what this direction was promised.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from controller.domain.capacity import END_TO_END_CHECK_BIT, HOP_ACK_BIT, HOP_TAG_BIT
from southbound.agent.keyplane.settings import HopName, RelayHop

_FILL_S: Final = 10.0

RelayShare = tuple[str, int]


def chunk_cost_bit(chunk_bit: int) -> int:
    """Return what a chunk draws from the pool of the direction it travels in."""
    return chunk_bit + END_TO_END_CHECK_BIT + HOP_TAG_BIT


def rates_bit_per_s(hop: RelayHop, *, forward_here: bool, backward_here: bool) -> tuple[float, float]:
    """Return what a hop is promised of a link direction: for chunks, and for acknowledging those of the other.

    Args:
        hop: It crosses the link.
        forward_here: Whether its forward chunks travel in this direction.
        backward_here: Whether its backward ones do.
    """
    chunk_rate = ack_rate = 0.0
    for forward, here in ((True, forward_here), (False, backward_here)):
        chunks_per_s = hop.direction_rate_millibit_per_s(forward=forward) / 1000 / hop.chunk_bit
        if here:
            chunk_rate += chunks_per_s * chunk_cost_bit(hop.chunk_bit)
        else:
            ack_rate += chunks_per_s * HOP_ACK_BIT
    return chunk_rate, ack_rate


@dataclass(slots=True)
class Bucket:
    """A claim on a link direction, in bit; >= 0."""

    rate_bit_per_s: float
    depth_bit: float
    level_bit: float
    filled_s: float

    @classmethod
    def of(cls, rate_bit_per_s: float, message_bit: int, before: "Bucket | None", now_s: float) -> "Bucket":
        """Return a bucket of a rate for messages of a size: full, or as full as the one before it."""
        depth_bit = max(rate_bit_per_s * _FILL_S, 2.0 * message_bit) if rate_bit_per_s else 0.0
        level_bit = depth_bit if before is None else min(depth_bit, before.level_bit)
        return cls(rate_bit_per_s, depth_bit, level_bit, now_s)

    def fill(self, now_s: float) -> None:
        """Let time pass."""
        self.level_bit = min(self.depth_bit, self.level_bit + self.rate_bit_per_s * max(0.0, now_s - self.filled_s))
        self.filled_s = now_s

    def drew(self, cost_bit: int) -> None:
        """Charge what was drawn; what was borrowed is never asked back."""
        self.level_bit = max(0.0, self.level_bit - cost_bit)


class LinkScheduler:
    """The buckets of one link, in the direction that this node sends."""

    def __init__(self) -> None:
        self._chunks: dict[RelayShare, Bucket] = {}
        self._acks: dict[RelayShare, Bucket] = {}
        self.theirs_bit_per_s = 0.0
        """What is promised of the other direction."""

    @property
    def ours_bit_per_s(self) -> float:
        """Return what is promised of this direction."""
        return sum(bucket.rate_bit_per_s for bucket in (*self._chunks.values(), *self._acks.values()))

    @property
    def keep_bit(self) -> int:
        """Return what all claims of this direction come to when none is spent: so much is never lent."""
        return math.ceil(sum(bucket.depth_bit for bucket in (*self._chunks.values(), *self._acks.values())))

    def configure(self, hops: Iterable[tuple[RelayHop, bool, bool]], now_s: float) -> None:
        """Set who has a claim: (hop, whether its forward chunks leave here, whether its backward ones do)."""
        chunk_claims: dict[RelayShare, tuple[float, int]] = {}
        ack_claims: dict[RelayShare, float] = {}
        theirs: dict[RelayShare, float] = {}
        for hop, *sends in hops:
            name = hop.relay, hop.share
            cost_bit = chunk_cost_bit(hop.chunk_bit)
            chunk_rate, ack_rate = rates_bit_per_s(hop, forward_here=sends[0], backward_here=sends[1])
            chunk_claims[name] = max((chunk_rate, cost_bit), chunk_claims.get(name, (0.0, 0)))
            ack_claims[name] = max(ack_rate, ack_claims.get(name, 0.0))
            other = sum(rates_bit_per_s(hop, forward_here=not sends[0], backward_here=not sends[1]))
            theirs[name] = max(other, theirs.get(name, 0.0))
        self.theirs_bit_per_s = sum(theirs.values())
        before, self._chunks = self._chunks, {}
        for name, (rate, cost_bit) in chunk_claims.items():
            self._chunks[name] = Bucket.of(rate, cost_bit, before.get(name), now_s)
        before, self._acks = self._acks, {}
        for name, rate in ack_claims.items():
            self._acks[name] = Bucket.of(rate, HOP_ACK_BIT, before.get(name), now_s)

    def order(self, names: Iterable[HopName], now_s: float) -> list[HopName]:
        """Return the hops, that with the largest unspent part of its claim first."""
        for bucket in (*self._chunks.values(), *self._acks.values()):
            bucket.fill(now_s)
        return sorted(names, key=lambda name: (-self._fullness((name[0], name[2])), name))

    def may_draw(self, name: RelayShare, cost_bit: int, spare_bit: int) -> bool:
        """Tell whether a relay may draw now, where `spare_bit` lies above the floor."""
        if cost_bit > spare_bit:
            return False
        bucket = self._chunks.get(name)
        if bucket is not None and bucket.level_bit >= cost_bit:
            return True
        others = sum(level_bit for other, level_bit in self.claims().items() if other != name)
        return cost_bit + math.ceil(others) <= spare_bit

    def drew(self, name: RelayShare, cost_bit: int) -> None:
        """Charge a relay for a chunk."""
        if (bucket := self._chunks.get(name)) is not None:
            bucket.drew(cost_bit)

    def acknowledged(self, name: RelayShare) -> None:
        """Charge a relay for an acknowledgement."""
        if (bucket := self._acks.get(name)) is not None:
            bucket.drew(HOP_ACK_BIT)

    def claims(self) -> Mapping[RelayShare, float]:
        """Return every relay's present claim in bit."""
        return {name: bucket.level_bit + self._acks[name].level_bit for name, bucket in self._chunks.items()}

    def _fullness(self, name: RelayShare) -> float:
        bucket = self._chunks.get(name)
        return bucket.level_bit / bucket.depth_bit if bucket is not None and bucket.depth_bit else -1.0
