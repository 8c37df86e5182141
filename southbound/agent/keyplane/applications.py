"""Which applications a node serves: who may ask for keys with whom, over which relays, and how fast."""

from collections.abc import Iterable
from dataclasses import dataclass

from southbound.agent.keyplane.bandwidth import BURST_S, TokenBucket
from southbound.agent.keyplane.settings import Association


@dataclass(frozen=True, slots=True)
class Leg:
    """One far node that a request for keys concerns, and the slaves there."""

    association: Association
    slaves: tuple[str, ...]


class Applications:
    """The associations in force, by application; each has one for every far node."""

    def __init__(self) -> None:
        self._all: dict[str, tuple[Association, ...]] = {}
        self._buckets: dict[str, TokenBucket] = {}

    def configure(self, associations: Iterable[Association], now_s: float) -> None:
        """Serve these from now on; what an application has taken lately counts on."""
        self._all = {}
        for one in associations:
            self._all[one.application] = (*self._all.get(one.application, ()), one)
        buckets: dict[str, TokenBucket] = {}
        for name, (one, *_) in self._all.items():
            if rate := one.max_bandwidth_bit_per_s:
                depth_bit = max(BURST_S * rate, one.key_size_max_bit)
                old = self._buckets.get(name)
                level_bit = depth_bit if old is None else min(depth_bit, old.level(now_s))
                buckets[name] = TokenBucket(rate, depth_bit, float(level_bit), now_s)
        self._buckets = buckets

    def legs(self, master: str, slaves: tuple[str, ...]) -> tuple[Leg, ...]:
        """Return how one application serves the master with all of the slaves; empty where none does."""
        for associations in self._all.values():
            legs = tuple(
                Leg(one, there)
                for one in associations
                if master in one.local_saes and (there := tuple(sae for sae in slaves if sae in one.remote_saes))
            )
            if {sae for leg in legs for sae in leg.slaves} == set(slaves):
                return legs
        return ()

    def with_relay(self, application: str, relay: str) -> Association | None:
        """Return an application's association over a relay."""
        return next((one for one in self._all.get(application, ()) if one.relay == relay), None)

    def is_local(self, sae: str) -> bool:
        """Tell whether an SAE is one of this node."""
        return any(sae in one.local_saes for associations in self._all.values() for one in associations)

    def slaves_beside(self, master: str, slave: str) -> int:
        """Return how many further slaves a request of the master with that slave may name."""
        counts = [
            sum(len(one.remote_saes) for one in associations if master in one.local_saes) - 1
            for associations in self._all.values()
            if any(master in one.local_saes and slave in one.remote_saes for one in associations)
        ]
        return max(counts, default=0)

    def bucket(self, application: str) -> TokenBucket | None:
        """Return what bounds an application; None where nothing does."""
        return self._buckets.get(application)
