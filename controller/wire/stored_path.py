"""Entanglement paths with their plans, as the store keeps them."""

from collections.abc import Iterable
from types import MappingProxyType

from controller.domain.entanglement_path import EntanglementPath, Packets, PairDemand
from controller.domain.path_plan import Certificate, HopPlan, PathPlan, SwapStep
from controller.domain.route import Route
from controller.domain.service import RouteSet
from controller.wire.stored_enums import PAIR_USE, PHASE, PROTECTION, REGIME, RELAY_STATE
from controller.wire.stored_service import releasing_from_pb, releasing_to_pb, routes_from_pb, routes_to_pb
from qinet.store.v1 import pairs_pb2 as pb
from qinet.store.v1 import service_pb2


def pair_demand_to_pb(demand: PairDemand) -> pb.PairDemand:
    """Return the stored form of a demand for pairs."""
    packets = demand.packets
    return pb.PairDemand(
        source=demand.source,
        target=demand.target,
        minimum_fidelity=demand.minimum_fidelity,
        rate_millihertz=demand.rate_millihertz,
        packets=pb.Packets(pairs=packets.pairs, window_ms=packets.window_ms, rate_millihertz=packets.rate_millihertz)
        if packets
        else None,
        use=PAIR_USE.number(demand.use),
        purpose=demand.purpose,
        priority=demand.priority,
        deadline_s=demand.deadline_s,
        lifetime_s=demand.lifetime_s,
        max_hops=demand.max_hops,
        avoid_nodes=sorted(demand.avoid_nodes),
        avoid_links=sorted(demand.avoid_links),
        test_share=demand.test_share,
        protection=PROTECTION.number(demand.protection),
        hold_off_ms=demand.hold_off_ms,
        manual=demand.manual,
        key_link=demand.key_link,
        authentication=demand.authentication,
        distillation_block_bit=demand.distillation_block_bit,
    )


def pair_demand_from_pb(stored: pb.PairDemand) -> PairDemand:
    """Return the demand of a stored form."""
    packets = stored.packets
    return PairDemand(
        source=stored.source,
        target=stored.target,
        minimum_fidelity=stored.minimum_fidelity,
        rate_millihertz=stored.rate_millihertz if stored.HasField("rate_millihertz") else None,
        packets=Packets(pairs=packets.pairs, window_ms=packets.window_ms, rate_millihertz=packets.rate_millihertz)
        if stored.HasField("packets")
        else None,
        use=PAIR_USE.member(stored.use),
        purpose=stored.purpose,
        priority=stored.priority,
        deadline_s=stored.deadline_s if stored.HasField("deadline_s") else None,
        lifetime_s=stored.lifetime_s if stored.HasField("lifetime_s") else None,
        max_hops=stored.max_hops if stored.HasField("max_hops") else None,
        avoid_nodes=frozenset(stored.avoid_nodes),
        avoid_links=frozenset(stored.avoid_links),
        test_share=stored.test_share,
        protection=PROTECTION.member(stored.protection),
        hold_off_ms=stored.hold_off_ms,
        manual=stored.manual,
        key_link=stored.key_link,
        authentication=stored.authentication,
        distillation_block_bit=stored.distillation_block_bit,
    )


def plan_to_pb(plan: PathPlan) -> pb.PathPlan:
    """Return the stored form of a plan."""
    return pb.PathPlan(
        regime=REGIME.number(plan.regime),
        hops=[
            pb.HopPlan(
                link=hop.link,
                option=hop.option,
                purification_rounds=hop.purification_rounds,
                memory_pairs=hop.memory_pairs,
                rate_millihertz=hop.rate_millihertz,
            )
            for hop in plan.hops
        ],
        swaps=[
            pb.SwapStep(node=swap.node, left=swap.left, right=swap.right, cutoff_ns=swap.cutoff_ns)
            for swap in plan.swaps
        ],
        lanes=plan.lanes,
        buffer_pairs=plan.buffer_pairs,
        test_share=plan.test_share,
        rate_millihertz=plan.rate_millihertz,
        fidelity=plan.fidelity,
        charges=[pb.Charge(resource=resource, amount=amount) for resource, amount in sorted(plan.charges.items())],
        objective=plan.certificate.objective,
        objective_value=plan.certificate.value,
        objective_bound=plan.certificate.upper_bound,
    )


def plan_from_pb(stored: pb.PathPlan) -> PathPlan:
    """Return the plan of a stored form."""
    return PathPlan(
        regime=REGIME.member(stored.regime),
        hops=tuple(
            HopPlan(
                link=hop.link,
                option=hop.option,
                purification_rounds=hop.purification_rounds,
                memory_pairs=hop.memory_pairs,
                rate_millihertz=hop.rate_millihertz,
            )
            for hop in stored.hops
        ),
        swaps=tuple(
            SwapStep(
                node=swap.node,
                left=swap.left,
                right=swap.right,
                cutoff_ns=swap.cutoff_ns if swap.HasField("cutoff_ns") else None,
            )
            for swap in stored.swaps
        ),
        lanes=stored.lanes,
        buffer_pairs=stored.buffer_pairs,
        test_share=stored.test_share,
        rate_millihertz=stored.rate_millihertz,
        fidelity=stored.fidelity,
        charges=MappingProxyType({charge.resource: charge.amount for charge in stored.charges}),
        certificate=Certificate(
            objective=stored.objective, value=stored.objective_value, upper_bound=stored.objective_bound
        ),
    )


def path_to_pb(path: EntanglementPath) -> pb.EntanglementPath:
    """Return the stored form of an entanglement path.

    Raises:
        ValueError: It has what no path has: several routes at a time, a backup, or stored pairs to ride on.
    """
    if path.riding or path.backup or path.backup_installed or path.revert_at_ms is not None:
        raise ValueError("an entanglement path neither rides on what is stored nor has a backup")
    return pb.EntanglementPath(
        name=path.name,
        demand=pair_demand_to_pb(path.demand),
        admin_enabled=path.admin_enabled,
        accept_blocked=path.accept_blocked,
        state=RELAY_STATE.number(path.state),
        state_reason=path.state_reason,
        phase=PHASE.number(path.phase),
        route=_only(path.routes),
        route_version=path.route_version,
        plan=plan_to_pb(path.plan) if path.plan else None,
        releasing=releasing_to_pb(path.releasing),
        confirmed_by=sorted(path.confirmed_by),
        ever_active=path.ever_active,
        created_by=path.created_by,
        created_ms=path.created_ms,
        expires_at_ms=path.expires_at_ms,
        move_at_ms=path.move_at_ms,
        install_by_ms=path.install_by_ms,
        retiring=[_set_to_pb(routes) for routes in path.retiring],
        drained_at=sorted(path.drained_at),
        starved_at=sorted(path.starved_at),
    )


def path_from_pb(stored: pb.EntanglementPath) -> EntanglementPath:
    """Return the entanglement path of a stored form."""
    return EntanglementPath(
        name=stored.name,
        demand=pair_demand_from_pb(stored.demand),
        admin_enabled=stored.admin_enabled,
        accept_blocked=stored.accept_blocked,
        state=RELAY_STATE.member(stored.state),
        state_reason=stored.state_reason,
        phase=PHASE.member(stored.phase),
        routes=routes_from_pb([stored.route] if stored.HasField("route") else []),
        route_version=stored.route_version,
        plan=plan_from_pb(stored.plan) if stored.HasField("plan") else None,
        releasing=releasing_from_pb(stored.releasing, f"entanglementPaths/{stored.name}"),
        confirmed_by=frozenset(stored.confirmed_by),
        ever_active=stored.ever_active,
        created_by=stored.created_by,
        created_ms=stored.created_ms,
        expires_at_ms=stored.expires_at_ms if stored.HasField("expires_at_ms") else None,
        move_at_ms=stored.move_at_ms if stored.HasField("move_at_ms") else None,
        install_by_ms=stored.install_by_ms if stored.HasField("install_by_ms") else None,
        retiring=tuple(map(_set_from_pb, stored.retiring)),
        drained_at=frozenset(stored.drained_at),
        starved_at=frozenset(stored.starved_at),
    )


def _only(routes: Iterable[Route]) -> service_pb2.Route | None:
    stored = routes_to_pb(routes)
    if len(stored) > 1:
        raise ValueError(f"an entanglement path has one route at a time, not {len(stored)}")
    return stored[0] if stored else None


def _set_to_pb(routes: RouteSet) -> pb.PathSet:
    return pb.PathSet(
        version=routes.version,
        route=_only(routes.routes),
        in_use=routes.in_use,
        plan=plan_to_pb(routes.plan) if routes.plan else None,
    )


def _set_from_pb(stored: pb.PathSet) -> RouteSet:
    return RouteSet(
        version=stored.version,
        routes=routes_from_pb([stored.route] if stored.HasField("route") else []),
        in_use=stored.in_use,
        plan=plan_from_pb(stored.plan) if stored.HasField("plan") else None,
    )
