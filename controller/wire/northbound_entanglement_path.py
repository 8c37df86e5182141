"""Entanglement paths as the northbound API tells them: the path, its plan, what it holds, and its history."""

import math
import uuid
from collections.abc import Collection, Iterable, Mapping

from controller.domain.capacity import BLOCK_COMPARE_BIT
from controller.domain.entanglement_path import PRE_SHARED, EntanglementPath, PairDemand
from controller.domain.etag import etag
from controller.domain.history import RelayChange
from controller.domain.lifetimes import lifetime_ends_ms
from controller.domain.path_plan import PathPlan
from controller.domain.snapshot import NIL_NETWORK
from controller.physics.pair_keys import PairKeying, key_rate_hz, time_to_first_key_s
from controller.wire.northbound_key_relay import PHASE, STATE, route_to_pb
from controller.wire.northbound_pairs import REGIME
from controller.wire.northbound_path_wishes import PAIR_USE
from controller.wire.northbound_values import duration_ms, network_uuid, timestamp_ms
from controller.wire.northbound_wishes import PROTECTION, RESTORATION_MODE, RestorationMode
from qinet.northbound.v1 import entanglement_path_pb2 as pb
from qinet.northbound.v1 import entanglement_service_pb2 as service_pb
from qinet.types.v1 import pairs_pb2

_OBJECTIVE = "rate_millihertz"
"""The objective of certificates that the API tells in Hz."""


def path_to_pb(
    path: EntanglementPath,
    *,
    charges: Mapping[str, int],
    revision: int = 0,
    service_time_ms: int = 0,
    wall_ms: int = 0,
    network: uuid.UUID = NIL_NETWORK,
    unconfirmed: Iterable[str] = (),
    ends: Iterable[pb.PathEndMeasurement] = (),
) -> pb.EntanglementPath:
    """Return the path as the API tells it.

    Args:
        path: The document.
        charges: What it holds of each resource, what is being released included.
        revision: At which it was read.
        service_time_ms: Now, in service time.
        wall_ms: Now, on the wall clock: an expiry is shown on it.
        network: From which its UUID derives.
        unconfirmed: Nodes that have not confirmed what they were told.
        ends: What its ends report.
    """
    demand = path.demand
    told = pb.EntanglementPath(
        name=path.resource,
        source=f"nodes/{demand.source}",
        target=f"nodes/{demand.target}",
        minimum_fidelity=demand.minimum_fidelity,
        use=PAIR_USE.number(demand.use),
        purpose_id=demand.purpose,
        priority=demand.priority,
        max_hops=demand.max_hops,
        avoid_nodes=[f"nodes/{node}" for node in sorted(demand.avoid_nodes)],
        avoid_links=[f"links/{link}" for link in sorted(demand.avoid_links)],
        test_share=demand.test_share,
        protection=PROTECTION.number(demand.protection),
        restoration_mode=RESTORATION_MODE.number(
            RestorationMode.MANUAL if demand.manual else RestorationMode.AUTOMATIC
        ),
        hold_off=duration_ms(demand.hold_off_ms),
        accept_blocked=path.accept_blocked,
        admin_enabled=path.admin_enabled,
        state=STATE.number(path.state),
        state_reason=path.state_reason,
        route_version=path.route_version,
        phase=PHASE.number(path.phase),
        reservations=pair_reservations_to_pb(charges, in_use=_in_use(path)),
        unconfirmed_nodes=[f"nodes/{node}" for node in sorted(unconfirmed)],
        retiring_routes=[route_to_pb(route) for routes in path.retiring for route in routes.routes],
        ends=ends,
        etag=etag(path),
        create_time=timestamp_ms(path.created_ms),
        created_by=path.created_by.removeprefix("qinet://"),
        revision=revision,
        uuid=network_uuid(network, path.resource),
    )
    if demand.rate_millihertz is not None:
        told.rate_hz = hertz(demand.rate_millihertz)
    elif demand.packets is not None:
        told.packets.CopyFrom(
            pb.Packets(
                pairs=demand.packets.pairs,
                window=duration_ms(demand.packets.window_ms),
                rate_hz=hertz(demand.packets.rate_millihertz),
            )
        )
    if demand.deadline_s is not None:
        told.deadline.CopyFrom(duration_ms(1000 * demand.deadline_s))
    if demand.lifetime_s is not None:
        told.lifetime.CopyFrom(duration_ms(1000 * demand.lifetime_s))
    ends_at_ms = lifetime_ends_ms(path)
    if ends_at_ms is not None:
        told.expire_time.CopyFrom(timestamp_ms(wall_ms + ends_at_ms - service_time_ms))
    if path.routes:
        told.route.CopyFrom(route_to_pb(path.routes[0]))
    if path.plan is not None:
        told.plan.CopyFrom(plan_to_pb(path.plan))
    if demand.key_link:
        _key_to_pb(demand, path.plan, told)
    return told


def _key_to_pb(demand: PairDemand, plan: PathPlan | None, told: pb.EntanglementPath) -> None:
    """Tell what key the pairs become; the time to a first key stays absent where the plan's pairs give none."""
    told.key_link = f"links/{demand.key_link}"
    own = demand.authentication in ("", PRE_SHARED)
    told.authentication = demand.authentication if own else f"keyRelays/{demand.authentication}"
    told.distillation_block_bit = demand.distillation_block_bit
    if plan is None:
        return
    keying = PairKeying(block_sifted_bit=demand.distillation_block_bit, spent_bit=BLOCK_COMPARE_BIT)
    net_hz = hertz(plan.rate_millihertz)  # the test pairs are off it already
    told.promised_skr_bit_per_s = key_rate_hz(keying, pair_rate_hz=net_hz, fidelity=plan.fidelity, test_share=0.0)
    first_s = time_to_first_key_s(keying, pair_rate_hz=net_hz, fidelity=plan.fidelity, test_share=0.0)
    if math.isfinite(first_s):
        told.time_to_first_key_s = first_s


def _in_use(path: EntanglementPath) -> frozenset[str]:
    plans = [path.plan, *(routes.plan for routes in path.retiring)]
    return frozenset(resource for plan in plans if plan is not None for resource in plan.charges)


def plan_to_pb(plan: PathPlan) -> pb.PathPlan:
    """Return how pairs are made on a route as the API tells it."""
    certificate = plan.certificate
    in_hertz = certificate.objective == _OBJECTIVE
    scale = 1000 if in_hertz else 1
    return pb.PathPlan(
        regime=REGIME.number(plan.regime),
        hops=[
            pairs_pb2.HopPlan(
                link=hop.link,
                option=hop.option,
                purification_rounds=hop.purification_rounds,
                memory_pairs=hop.memory_pairs,
                rate_millihertz=hop.rate_millihertz,
            )
            for hop in plan.hops
        ],
        swaps=[
            pairs_pb2.SwapStep(node=swap.node, left=swap.left, right=swap.right, cutoff_ns=swap.cutoff_ns)
            for swap in plan.swaps
        ],
        lanes=plan.lanes,
        buffer_pairs=plan.buffer_pairs,
        rate_hz=hertz(plan.rate_millihertz),
        fidelity=plan.fidelity,
        objective="rate_hz" if in_hertz else certificate.objective,
        objective_value=certificate.value / scale,
        objective_bound=certificate.upper_bound / scale,
        gap=certificate.gap,
    )


def pair_reservations_to_pb(charges: Mapping[str, int], *, in_use: Collection[str]) -> list[pb.PairReservation]:
    """Return what is held of each resource as the API tells it, by name; a link's resource is its id in the domain."""
    return sorted(
        (
            pb.PairReservation(
                resource=resource if "/" in resource else f"links/{resource}",
                amount=amount,
                releasing=resource not in in_use,
            )
            for resource, amount in charges.items()
        ),
        key=lambda held: held.resource,
    )


def path_history_to_pb(change: RelayChange) -> service_pb.EntanglementPathHistoryEntry:
    """Return one line of a path's history."""
    return service_pb.EntanglementPathHistoryEntry(
        revision=change.revision,
        time=timestamp_ms(change.at_ms),
        state=STATE.number(change.state),
        state_reason=change.reason,
        route=route_to_pb(change.routes[0]) if change.routes else None,
        by=change.by,
        route_version=change.route_version,
        phase=PHASE.number(change.phase),
    )


def hertz(millihertz: int) -> float:
    """Return a rate as the API tells it.

    >>> hertz(2500)
    2.5
    """
    return millihertz / 1000
