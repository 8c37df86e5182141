"""Key relays as the northbound API tells them: the relay, its routes, its history, and what is predicted of it."""

import uuid
from collections.abc import Iterable

from controller.domain.capacity import service_charges
from controller.domain.etag import etag
from controller.domain.history import RelayChange
from controller.domain.key_relay import KeyRelay, Phase, RelayState
from controller.domain.link import LinkStatus
from controller.domain.prediction import Outcome, PredictedMove
from controller.domain.route import Route
from controller.domain.snapshot import NIL_NETWORK
from controller.wire.northbound_link import STATUS
from controller.wire.northbound_values import WireEnum, bit_per_s, duration_ms, network_uuid, timestamp_ms
from controller.wire.northbound_wishes import PROTECTION, RESTORATION_MODE, RestorationMode
from qinet.northbound.v1 import key_relay_pb2 as pb
from qinet.northbound.v1 import key_relay_service_pb2 as service_pb

STATE = WireEnum(RelayState, pb.KeyRelay.State, "STATE")
PHASE = WireEnum(Phase, pb.KeyRelay.Phase, "PHASE", unspecified=Phase.NONE)
OUTCOME = WireEnum(Outcome, service_pb.PredictedMove.Outcome, "OUTCOME")


def relay_to_pb(
    relay: KeyRelay,
    *,
    revision: int = 0,
    service_time_ms: int = 0,
    wall_ms: int = 0,
    network: uuid.UUID = NIL_NETWORK,
    unconfirmed: Iterable[str] = (),
    status: LinkStatus = LinkStatus.PENDING,
    ends: Iterable[pb.RelayEndMeasurement] = (),
    backup_ready: bool = False,
) -> pb.KeyRelay:
    """Return the relay as the API tells it.

    Args:
        relay: The document.
        revision: At which it was read.
        service_time_ms: Now, in service time.
        wall_ms: Now, on the wall clock: an expiry is shown on it.
        network: From which its UUID derives.
        unconfirmed: Nodes that have not confirmed what they were told.
        status: As `virtual_status` makes it.
        ends: What its ends report.
        backup_ready: Whether its backup could take over now.
    """
    demand = relay.demand
    told = pb.KeyRelay(
        name=f"keyRelays/{relay.name}",
        application=f"applications/{relay.applications[0]}" if len(relay.applications) == 1 else "",
        applications=[f"applications/{application}" for application in relay.applications],
        source=f"nodes/{demand.source}",
        target=f"nodes/{demand.target}",
        rate_bit_per_s=bit_per_s(demand.rate_millibit_per_s),
        priority=demand.priority,
        max_hops=demand.max_hops,
        avoid_nodes=[f"nodes/{node}" for node in sorted(demand.avoid_nodes)],
        avoid_links=[f"links/{link}" for link in sorted(demand.avoid_links)],
        pass_nodes=[f"nodes/{node}" for node in sorted(demand.pass_nodes)],
        pass_links=[f"links/{link}" for link in sorted(demand.pass_links)],
        trust_domains=sorted(demand.trust_domains),
        shares=demand.shares,
        protection=PROTECTION.number(demand.protection),
        hold_off=duration_ms(demand.hold_off_ms),
        forward_share=demand.forward_share,
        accept_blocked=relay.accept_blocked,
        admin_enabled=relay.admin_enabled,
        state=STATE.number(relay.state),
        state_reason=relay.state_reason,
        routes=[route_to_pb(route) for route in relay.routes],
        route_version=relay.route_version,
        phase=PHASE.number(relay.phase),
        reservations=reservations_to_pb(service_charges(relay), in_use=relay.told_links()),
        unconfirmed_nodes=[f"nodes/{node}" for node in sorted(unconfirmed)],
        link_status=STATUS.number(status),
        ends=ends,
        riding_on_store=relay.riding,
        etag=etag(relay),
        create_time=timestamp_ms(relay.created_ms),
        created_by=relay.created_by.removeprefix("qinet://"),
        revision=revision,
        uuid=network_uuid(network, f"keyRelays/{relay.name}"),
        restoration_mode=RESTORATION_MODE.number(
            RestorationMode.MANUAL if demand.manual else RestorationMode.AUTOMATIC
        ),
        revertive=demand.revertive,
        wait_to_restore=duration_ms(demand.wait_to_restore_ms),
        may_preempt=demand.may_preempt,
        no_trusted_transit=demand.no_trusted_transit,
        backup_routes=[route_to_pb(route) for route in relay.backup.routes] if relay.backup else [],
        backup_route_version=relay.backup.version if relay.backup else 0,
        backup_ready=backup_ready,
        retiring_routes=[route_to_pb(route) for routes in relay.retiring for route in routes.routes],
    )
    if demand.lifetime_s is not None:
        told.lifetime.CopyFrom(duration_ms(1000 * demand.lifetime_s))
    if relay.expires_at_ms is not None:
        told.expire_time.CopyFrom(timestamp_ms(wall_ms + relay.expires_at_ms - service_time_ms))
    return told


def route_to_pb(route: Route) -> pb.Route:
    """Return a route as the API tells it."""
    return pb.Route(
        hops=[
            pb.RouteHop(start_node=f"nodes/{hop.start}", link=f"links/{hop.link}", end_node=f"nodes/{hop.end}")
            for hop in route.hops()
        ]
    )


def reservations_to_pb(charges: dict[str, int], *, in_use: frozenset[str]) -> list[pb.Reservation]:
    """Return what is held of each link, in millibit/s, as the API tells it, by name."""
    return [
        pb.Reservation(link=f"links/{link}", charge_bit_per_s=bit_per_s(charge), releasing=link not in in_use)
        for link, charge in sorted(charges.items())
    ]


def virtual_status(relay: KeyRelay, *, flowing: bool, stored: bool) -> LinkStatus:
    """Return the state of the relay as a VIRT link of GS QKD 015: the first that fits.

    Args:
        relay: The relay.
        flowing: Whether keys flow to its ends now.
        stored: Whether an end has keys left.
    """
    if flowing:
        return LinkStatus.ACTIVE
    if stored:
        return LinkStatus.PASSIVE
    return LinkStatus.OFF if relay.ever_active else LinkStatus.PENDING


def history_to_pb(change: RelayChange) -> service_pb.KeyRelayHistoryEntry:
    """Return one line of a relay's history."""
    return service_pb.KeyRelayHistoryEntry(
        revision=change.revision,
        time=timestamp_ms(change.at_ms),
        state=STATE.number(change.state),
        state_reason=change.reason,
        routes=[route_to_pb(route) for route in change.routes],
        by=change.by,
        route_version=change.route_version,
        phase=PHASE.number(change.phase),
    )


def service_name(key: str) -> str:
    """Return the resource name of a service of that key (Service.key).

    >>> service_name("r1"), service_name("entanglementPaths/p1")
    ('keyRelays/r1', 'entanglementPaths/p1')
    """
    return key if "/" in key else f"keyRelays/{key}"


def move_to_pb(move: PredictedMove) -> service_pb.PredictedMove:
    """Return what becomes of a service."""
    name = service_name(move.service)
    is_path = name.startswith("entanglementPaths/")
    return service_pb.PredictedMove(
        key_relay="" if is_path else name,
        entanglement_path=name if is_path else "",
        outcome=OUTCOME.number(move.outcome),
        routes=[route_to_pb(route) for route in move.routes],
        reason=move.reason,
    )
