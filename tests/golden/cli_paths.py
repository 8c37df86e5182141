"""Entanglement paths, and links and nodes that have to do with pairs, as the API tells them."""

from qinet.northbound.v1 import entanglement_path_pb2 as pb
from qinet.northbound.v1 import entanglement_service_pb2 as service_pb
from qinet.northbound.v1 import key_relay_pb2, link_pb2, node_pb2
from qinet.types.v1 import pairs_pb2

KeyRelay = key_relay_pb2.KeyRelay
ROUTE = key_relay_pb2.Route(
    hops=[
        key_relay_pb2.RouteHop(start_node="nodes/a", link="links/ab", end_node="nodes/b"),
        key_relay_pb2.RouteHop(start_node="nodes/b", link="links/bc", end_node="nodes/c"),
    ]
)
PLAN = pb.PathPlan(
    regime=pairs_pb2.REGIME_MEMORY,
    hops=[
        pairs_pb2.HopPlan(link="ab", option=1, purification_rounds=1, memory_pairs=4),
        pairs_pb2.HopPlan(link="bc", memory_pairs=2),
    ],
    swaps=[pairs_pb2.SwapStep(node="b", left="a", right="c", cutoff_ns=2_500_000)],
    lanes=2,
    rate_hz=12.5,
    fidelity=0.91239,
    objective="rate_hz",
    objective_value=40.0,
    objective_bound=44.0,
    gap=0.1,
)
ESTIMATE = pairs_pb2.FidelityEstimate(fidelity=0.912, low=0.893, high=0.931, samples=400, age_ms=12_000)
PATH = pb.EntanglementPath(
    name="entanglementPaths/lab",
    source="nodes/a",
    target="nodes/c",
    minimum_fidelity=0.9,
    rate_hz=10.0,
    use=pairs_pb2.PAIR_USE_MEASURE,
    test_share=0.05,
    key_link="links/k",
    authentication="keyRelays/first",
    promised_skr_bit_per_s=1.5,
    state=KeyRelay.STATE_DEGRADED,
    state_reason="less is delivered than promised",
    phase=KeyRelay.PHASE_SETTLED,
    route=ROUTE,
    route_version=7,
    plan=PLAN,
    reservations=[pb.PairReservation(resource="links/old", amount=2, releasing=True)],
    ends=[
        pb.PathEndMeasurement(
            node="nodes/a", rate_hz=9.5, delivered_total=70, fidelity=ESTIMATE, tracked_fidelity=0.92
        ),
        pb.PathEndMeasurement(node="nodes/c", starved=True, dropped_total=3),
    ],
    etag="ab12",
)
ANSWER = service_pb.ComputeEntanglementRouteResponse(
    route=ROUTE, plan=PLAN, reservations=[pb.PairReservation(resource="nodes/b/memories", amount=8)]
)
HISTORY = [
    service_pb.EntanglementPathHistoryEntry(
        revision=3, state=KeyRelay.STATE_ACTIVE, route=ROUTE, by="user/alice", state_reason="created", route_version=3
    )
]
QKD = link_pb2.Link(name="links/q", capacity_bit_per_s=1000)
PAIRS = link_pb2.Link(
    name="links/ab",
    pairs=pairs_pb2.PairModel(
        regime=pairs_pb2.REGIME_MEMORY,
        attempt_period_s=1e-3,
        memory_pairs=16,
        options=[pairs_pb2.PairOption(success_probability=0.001, fidelity=0.95, label="bright state 0.05")],
    ),
    reserved_pairs=4,
    pair_capacity=16,
    pair_rate_factor=0.8,
    pair_fidelity_loss=0.02,
    measurement=link_pb2.LinkMeasurement(pair_rate_hz=12.0, fidelity=ESTIMATE, memory_pairs_in_use=3),
)
NODES = [
    node_pb2.Node(
        name="nodes/a",
        pairs=pairs_pb2.PairHardware(
            memories=8, coherence_s=1.5, swap_success=0.0, can_purify=True, end_node=pairs_pb2.END_NODE_KIND_MEASURING
        ),
    ),
    node_pb2.Node(name="nodes/b"),
]
