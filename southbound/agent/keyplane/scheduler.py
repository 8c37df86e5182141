"""Who may draw link key: every relay what it reserved, and anybody what nobody claims.

One bucket per relay and link direction. It fills at the relay's reserved rate, tags included, up to
what ten seconds bring (and two chunks). A relay with a full enough bucket draws as long as key is left;
one that has spent its bucket may still draw what exceeds the claims of all others. So a relay that asks
for everything gets all that lies idle, and never what another has reserved.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from controller.domain.capacity import END_TO_END_CHECK_BIT, HOP_ACK_BIT, HOP_TAG_BIT
from southbound.agent.keyplane.settings import RelayHop

_FILL_S: Final = 10.0

RelayShare = tuple[str, int]


def chunk_cost_bit(chunk_bit: int) -> int:
    """Return what a chunk draws from the pool of the direction it travels in."""
    return chunk_bit + END_TO_END_CHECK_BIT + HOP_TAG_BIT


@dataclass(slots=True)
class Bucket:
    """A relay's claim on a link direction, in bit; negative after it borrowed for acknowledgements."""

    rate_bit_per_s: float
    depth_bit: float
    level_bit: float
    filled_s: float

    def fill(self, now_s: float) -> None:
        """Let time pass."""
        self.level_bit = min(self.depth_bit, self.level_bit + self.rate_bit_per_s * max(0.0, now_s - self.filled_s))
        self.filled_s = now_s


class LinkScheduler:
    """The buckets of one link, in the direction that this node sends."""

    def __init__(self) -> None:
        self._buckets: dict[RelayShare, Bucket] = {}

    def configure(self, hops: Iterable[tuple[RelayHop, bool, bool]], now_s: float) -> None:
        """Set who has a claim: (hop, whether its forward chunks leave here, whether its backward ones do)."""
        buckets: dict[RelayShare, Bucket] = {}
        for hop, *sends in hops:
            rate = 0.0
            for forward, here in zip((True, False), sends, strict=True):
                chunks_per_s = hop.direction_rate_millibit_per_s(forward=forward) / 1000 / hop.chunk_bit
                rate += chunks_per_s * (chunk_cost_bit(hop.chunk_bit) if here else HOP_ACK_BIT)
            depth = max(rate * _FILL_S, 2.0 * chunk_cost_bit(hop.chunk_bit)) if rate else 0.0
            name = hop.relay, hop.share
            bucket = self._buckets.get(name)
            level = depth if bucket is None else min(depth, bucket.level_bit)
            buckets[name] = Bucket(rate, depth, level, now_s)
        self._buckets = buckets

    def order(self, names: Iterable[RelayShare], now_s: float) -> list[RelayShare]:
        """Return the relays, the one with the largest unspent part of its claim first."""
        for bucket in self._buckets.values():
            bucket.fill(now_s)
        return sorted(names, key=lambda name: (-self._fullness(name), name))

    def may_draw(self, name: RelayShare, cost_bit: int, spare_bit: int) -> bool:
        """Tell whether a relay may draw now, where `spare_bit` lies above the floor."""
        if cost_bit > spare_bit:
            return False
        bucket = self._buckets.get(name)
        if bucket is not None and bucket.level_bit >= cost_bit:
            return True
        others = sum(max(0.0, other.level_bit) for key, other in self._buckets.items() if key != name)
        return cost_bit + math.ceil(others) <= spare_bit

    def drew(self, name: RelayShare, cost_bit: int) -> None:
        """Charge a relay; what it borrowed is never asked back, an acknowledgement's debt up to one depth is."""
        bucket = self._buckets.get(name)
        if bucket is not None:
            floor = -bucket.depth_bit if cost_bit <= HOP_ACK_BIT else min(0.0, bucket.level_bit)
            bucket.level_bit = max(floor, bucket.level_bit - cost_bit)

    def claims(self) -> Mapping[RelayShare, float]:
        """Return every relay's present claim in bit."""
        return {name: bucket.level_bit for name, bucket in self._buckets.items()}

    def _fullness(self, name: RelayShare) -> float:
        bucket = self._buckets.get(name)
        return bucket.level_bit / bucket.depth_bit if bucket is not None and bucket.depth_bit else -1.0
