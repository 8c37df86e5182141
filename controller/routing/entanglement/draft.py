"""A plan in the making: what a route would take and deliver, before it is checked against what is free."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from controller.domain.pair_capacity import plan_charges
from controller.domain.path_plan import Certificate, HopPlan, PathPlan, SwapStep
from controller.physics.swap_tree import splits
from controller.routing.entanglement.candidate import Candidate
from controller.routing.entanglement.ground import Ground

NANOSECONDS = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a route would take and deliver. Nodes by number; hops from the ground's start on.

    Attributes:
        hops: As of PathPlan.
        rate_hz: Delivered, test pairs included.
        werner: Of delivered pairs.
        swap_time: Microseconds per second that the swaps of each transit node take.
    """

    ground: Ground
    candidate: Candidate
    hops: tuple[HopPlan, ...]
    lanes: int
    buffer_pairs: int
    rate_hz: float
    werner: float
    swap_time: Mapping[int, int]

    @property
    def fidelity(self) -> float:
        """Return F = <Phi+|rho|Phi+> of delivered pairs."""
        return (1 + 3 * self.werner) / 4

    def _swaps(self) -> tuple[SwapStep, ...]:
        ground, candidate = self.ground, self.candidate
        nodes = [ground.network.wiring.nodes[node] for node in ground.nodes_on(candidate.links)]
        cutoff_ns = None if candidate.cutoff_s is None else round(candidate.cutoff_s * NANOSECONDS)
        return tuple(
            SwapStep(
                node=nodes[node],
                left=nodes[right if ground.flipped else left],
                right=nodes[left if ground.flipped else right],
                cutoff_ns=cutoff_ns,
            )
            for left, node, right in splits(candidate.tree)
        )

    def _hops(self) -> tuple[HopPlan, ...]:
        return self.hops[::-1] if self.ground.flipped else self.hops

    def charges(self) -> dict[str, int]:
        """Return what its hops and swaps take, by resource."""
        ground, candidate = self.ground, self.candidate
        wiring = ground.network.wiring
        return plan_charges(
            ground.regime,
            ground.route(candidate.links),
            self._hops(),
            self._swaps(),
            models={wiring.edges[link].name: wiring.edges[link].model for link in candidate.links},
            buffer_pairs=self.buffer_pairs,
            swap_time_us_per_s={wiring.nodes[node]: amount for node, amount in self.swap_time.items()},
            storeless=frozenset(wiring.nodes[node] for node in ground.storeless),
        )

    def plan(
        self, *, rate_millihertz: int, test_share: float, certificate: Certificate, held: Mapping[str, int]
    ) -> PathPlan:
        """Return the plan, its hops from source to target; `held` is taken beside what its hops take, by resource."""
        charges = self.charges()
        for resource, amount in held.items():
            charges[resource] = charges.get(resource, 0) + amount
        return PathPlan(
            regime=self.ground.regime,
            hops=self._hops(),
            swaps=self._swaps(),
            lanes=self.lanes,
            buffer_pairs=self.buffer_pairs,
            test_share=test_share,
            rate_millihertz=rate_millihertz,
            fidelity=self.fidelity,
            charges=MappingProxyType(charges),
            certificate=certificate,
        )
