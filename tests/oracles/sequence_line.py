"""SeQUeNCe simulating a line of routers with a heralding station in the middle of each link.

How long an attempt of SeQUeNCe takes, read off `entanglement_management/generation` and `resource_management`, with
x = L/c the crossing of a link of length L and stations half-way. Router r0 asks, and the name of the router that is
asked is the greater one:

    0     r0 asks r1 to pair its protocol (REQUEST)
    x     r1 agrees (RESPONSE), and as the one with the greater name says when photons travel (NEGOTIATE)
    2x    r0 answers when to emit (NEGOTIATE_ACK)
    3x    both emit; the photons meet after x/2, and the station's word is back after x/2 more
    4x    both know; after a failure the next REQUEST leaves at once

So one round is 4x: four times the L/c of `attempt_period_s` with a station in the middle. The single-heralded protocol
has one round. Barrett-Kok has a second one after a click in the first, from NEGOTIATE on: 3x more. (Were r0 the
greater name, NEGOTIATE would leave one crossing later: 5x and 3x.) What is neglected: photons wait for a time bin of
12.5 ns.

A swap: the middle router asks both ends (x), they agree (x), it measures and tells them (x). Its own memories are free
when it has measured, so that it asks r2 for the next pair one crossing before r0 hears and asks it.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import combinations, pairwise
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, Final

from sequence.entanglement_management.generation import EntanglementGenerationA, EntanglementGenerationB
from sequence.topology.router_net_topo import RouterNetTopo

from controller.physics.link_generation import FIBRE_LIGHT_KM_PER_S, double_click

ATTENUATION_DB_PER_KM: Final = 0.2
_PS_PER_S: Final = 10**12
_START_PS: Final = 5 * 10**9


class Scheme(Enum):
    """How a link makes pairs."""

    SINGLE_HERALDED = "single_heralded"
    BARRETT_KOK = "barret_kok"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Equal links between routers r0, r1, ...; every router has `memories` for each of its links."""

    scheme: Scheme
    routers: int
    link_km: float = 5.0
    memories: int = 1
    memory_efficiency: float = 0.95
    detector_efficiency: float = 0.95
    detector_rate_hz: float = 25e6
    fidelity: float = 0.9
    seed: int = 1

    @property
    def arm_efficiency(self) -> float:
        """From a memory to a click: half the link lies between."""
        fibre = 10 ** (-ATTENUATION_DB_PER_KM * self.link_km / 2 / 10)
        return self.memory_efficiency * fibre * self.detector_efficiency

    @property
    def crossing_s(self) -> float:
        """x: light over one link."""
        return self.link_km / FIBRE_LIGHT_KM_PER_S

    @property
    def success_probability(self) -> float:
        """Of an attempt, in either scheme."""
        return double_click(self.arm_efficiency).success_probability

    @property
    def successful_attempt_s(self) -> float:
        """Duration of an attempt that makes a pair; see the head of this file."""
        return (4 if self.scheme is Scheme.SINGLE_HERALDED else 7) * self.crossing_s

    @property
    def failed_attempt_s(self) -> float:
        """Mean duration of an attempt that makes none.

        The first Barrett-Kok round clicks once if one memory emits (1/2) and its photon is seen, or if both emit (1/4)
        and only one photon is seen, or both in one detector, which is dead after the first.
        """
        if self.scheme is Scheme.SINGLE_HERALDED:
            return 4 * self.crossing_s
        seen = self.arm_efficiency
        second_round = seen / 2 + (2 * seen * (1 - seen) + seen**2 / 2) / 4
        in_vain = (second_round - self.success_probability) / (1 - self.success_probability)
        return (4 + 3 * in_vain) * self.crossing_s

    @property
    def attempt_s(self) -> float:
        """Mean duration of any attempt."""
        success = self.success_probability
        return success * self.successful_attempt_s + (1 - success) * self.failed_attempt_s


@dataclass(slots=True)
class Delivered:
    """Pairs between the ends of a line, as r0 sees them."""

    at_s: list[float] = field(default_factory=list)
    fidelities: list[float] = field(default_factory=list)

    @property
    def rate_hz(self) -> float:
        """Between the first pair and the last."""
        return (len(self.at_s) - 1) / (self.at_s[-1] - self.at_s[0])

    def relative_error(self, memories: int) -> float:
        """Standard error of the rate; of several memories that run side by side, from batches of one pair of each."""
        batches_s = [later - sooner for sooner, later in pairwise(self.at_s[::memories])]
        return stdev(batches_s) / fmean(batches_s) / math.sqrt(len(batches_s))


class _Taker:
    """An application that takes every pair with the other end at once, and so frees its memory."""

    def __init__(self, router: Any, other_end: str) -> None:
        self.delivered = Delivered()
        self._router = router
        self._other_end = other_end
        router.set_app(self)

    def get_memory(self, info: Any) -> None:
        if info.state == "ENTANGLED" and info.remote_node == self._other_end:
            self.delivered.at_s.append(self._router.timeline.now() / _PS_PER_S)
            self.delivered.fidelities.append(info.fidelity)
            self._router.resource_manager.update(None, info.memory, "RAW")

    def get_reservation_result(self, reservation: Any, result: bool) -> None:
        assert result, f"SeQUeNCe does not admit {reservation}"

    def get_other_reservation(self, reservation: Any) -> None:
        """The far end is told of the reservation that r0 made."""


def simulate(line: Line, simulated_s: float, folder: Path) -> Delivered:
    """Run SeQUeNCe's whole stack, reservation included, for this long; `folder` takes its configuration file.

    Only in the thread that imported SeQUeNCe: it set the precision of its times there; elsewhere time bins go wrong.
    """
    names = [f"r{index}" for index in range(line.routers)]
    EntanglementGenerationA.set_global_type(line.scheme.value)
    EntanglementGenerationB.set_global_type(line.scheme.value)
    file = folder / "line.json"
    file.write_text(json.dumps(_configuration(line, names, simulated_s)))
    network = RouterNetTopo(str(file))
    routers = {router.name: router for router in network.get_nodes_by_type(RouterNetTopo.QUANTUM_ROUTER)}
    taker = _Taker(routers[names[0]], names[-1])
    _Taker(routers[names[-1]], names[0])
    timeline = network.get_timeline()
    timeline.init()
    # The reservation ends after the run, so that no end of it is in the figures.
    routers[names[0]].reserve_net_resource(names[-1], _START_PS, 2 * timeline.stop_time, line.memories, 0.1)
    timeline.run()
    return taker.delivered


def _configuration(line: Line, names: Sequence[str], simulated_s: float) -> dict[str, Any]:
    heralded = line.scheme is Scheme.SINGLE_HERALDED
    detector = {"efficiency": line.detector_efficiency, "count_rate": line.detector_rate_hz}
    return {
        "stop_time": _START_PS + round(simulated_s * _PS_PER_S),
        "formalism": "bell_diagonal" if heralded else "ket_vector",
        "templates": {
            "router": {
                "MemoryArray": {
                    "fidelity": line.fidelity,
                    "efficiency": line.memory_efficiency,
                    "frequency": 80e6,
                    "coherence_time": -1,
                }
            },
            "station": {
                "encoding_type": "single_heralded" if heralded else "single_atom",
                "SingleHeraldedBSM" if heralded else "SingleAtomBSM": {"detectors": [detector, detector]},
            },
        },
        "nodes": [
            {
                "name": name,
                "type": "QuantumRouter",
                "template": "router",
                "seed": 1000 * line.seed + index,
                "memo_size": line.memories * (1 if name in {names[0], names[-1]} else 2),
            }
            for index, name in enumerate(names)
        ],
        "qconnections": [
            {
                "node1": one,
                "node2": other,
                "type": "meet_in_the_middle",
                "template": "station",
                "seed": 1000 * line.seed + 500 + index,
                "distance": round(line.link_km * 1000),
                "attenuation": ATTENUATION_DB_PER_KM / 1000,
            }
            for index, (one, other) in enumerate(pairwise(names))
        ],
        "cconnections": [
            {
                "node1": one,
                "node2": other,
                "delay": round((names.index(other) - names.index(one)) * line.crossing_s * _PS_PER_S),
            }
            for one, other in combinations(names, 2)
        ],
    }
