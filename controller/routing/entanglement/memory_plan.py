"""Plans of routes in the memory regime: as many lanes as the promised rate needs."""

import math

from controller.domain.pair_capacity import swap_time_charge
from controller.domain.path_plan import HopPlan
from controller.physics.memory_regime import predict_lane
from controller.routing.entanglement.candidate import Candidate
from controller.routing.entanglement.draft import Draft
from controller.routing.entanglement.ground import Ground
from controller.routing.entanglement.memory import lane_of


def draft_memory(ground: Ground, candidate: Candidate, gross_hz: float) -> Draft:
    """Return what a route takes and delivers with just the lanes that the rate needs."""
    network = ground.network
    lane = predict_lane(lane_of(ground, candidate.links, candidate.choices, candidate.cutoff_s))
    lanes = max(1, math.ceil(gross_hz / lane.rate_hz * (1 - 1e-9)))
    swap_time = {}
    for place, node in enumerate(ground.nodes_on(candidate.links)):
        hardware = network.wiring.stations[node].hardware
        if hardware is not None and lane.swap_attempts[place] > 0.0:
            attempts_per_s = lanes * lane.swap_attempts[place] * lane.rate_hz
            swap_time[node] = swap_time_charge(attempts_per_s, hardware.swap_duration_s)
    return Draft(
        ground=ground,
        candidate=candidate,
        hops=tuple(
            HopPlan(
                link=network.wiring.edges[link].name,
                option=choice.option,
                purification_rounds=choice.rounds,
                memory_pairs=lanes << choice.rounds,
            )
            for link, choice in zip(candidate.links, candidate.choices, strict=True)
        ),
        lanes=lanes,
        buffer_pairs=0,
        rate_hz=lanes * lane.rate_hz,
        werner=lane.werner,
        swap_time=swap_time,
    )
