"""Key relays of the northbound API <-> the domain."""

import uuid
from collections.abc import Iterable
from enum import Enum
from typing import Final

from controller.domain.capacity import relay_charges
from controller.domain.etag import etag
from controller.domain.key_relay import Demand, KeyRelay, Phase, Protection, RelayState
from controller.domain.link import LinkStatus
from controller.domain.node import UINT32_MAX
from controller.domain.route import Route
from controller.domain.snapshot import NIL_NETWORK
from controller.wire.northbound_link import STATUS
from controller.wire.northbound_values import (
    Mistakes,
    WireEnum,
    bit_per_s,
    ceil_to,
    duration_ms,
    key_rate_millibit,
    network_uuid,
    timestamp_ms,
)
from qinet.northbound.v1 import key_relay_pb2 as pb


class RestorationMode(Enum):
    """Who moves a relay when its route fails, as the API tells it."""

    AUTOMATIC = "automatic"
    MANUAL = "manual"


PROTECTION = WireEnum(Protection, pb.KeyRelay.Protection, "PROTECTION", unspecified=Protection.RESTORE)
STATE = WireEnum(RelayState, pb.KeyRelay.State, "STATE")
RESTORATION_MODE = WireEnum(
    RestorationMode,
    pb.KeyRelay.RestorationMode,
    "RESTORATION_MODE",
    unspecified=RestorationMode.AUTOMATIC,
)
PHASE = WireEnum(Phase, pb.KeyRelay.Phase, "PHASE", unspecified=Phase.NONE)

_WAIT_TO_RESTORE_MS: Final = 300_000
_MS: Final = 10**6
_S: Final = 10**9
_MAX_NAMED: Final = 1024
_LEAST_INTERVAL_NS: Final = 1000 * _S
"""How long one bit may take: rates are whole millibit/s."""


def demand_from_pb(relay: pb.KeyRelay, mistakes: Mistakes, *, field: str = "key_relay") -> Demand | None:
    """Return what a client asks of a relay; None once something is noted as a mistake."""
    source = mistakes.id("nodes", relay.source, f"{field}.source")
    target = mistakes.id("nodes", relay.target, f"{field}.target")
    rate = _rate(relay, field, mistakes)
    avoid_nodes = mistakes.ids("nodes", relay.avoid_nodes, f"{field}.avoid_nodes")
    avoid_links = mistakes.ids("links", relay.avoid_links, f"{field}.avoid_links")
    pass_nodes = mistakes.ids("nodes", relay.pass_nodes, f"{field}.pass_nodes")
    pass_links = mistakes.ids("links", relay.pass_links, f"{field}.pass_links")
    for name in ("avoid_nodes", "avoid_links", "pass_nodes", "pass_links", "trust_domains"):
        if len(getattr(relay, name)) > _MAX_NAMED:
            mistakes.add(f"{field}.{name}", f"names {len(getattr(relay, name))}; at most {_MAX_NAMED} are taken")
    protection = PROTECTION.member(relay.protection, f"{field}.protection", mistakes)
    hold_off_ms = ceil_to(mistakes.duration_ns(relay.hold_off, f"{field}.hold_off"), _MS)
    lifetime_s = None
    if relay.HasField("lifetime"):
        lifetime_s = ceil_to(mistakes.duration_ns(relay.lifetime, f"{field}.lifetime"), _S)
    trust_domains = frozenset(
        mistakes.text(domain, f"{field}.trust_domains[{index}]") for index, domain in enumerate(relay.trust_domains)
    )
    mode = RESTORATION_MODE.member(relay.restoration_mode, f"{field}.restoration_mode", mistakes)
    wait_to_restore_ms = _WAIT_TO_RESTORE_MS
    if relay.HasField("wait_to_restore"):
        wait_to_restore_ms = ceil_to(mistakes.duration_ns(relay.wait_to_restore, f"{field}.wait_to_restore"), _MS)
    if not source or not target or protection is None or mode is None:
        return None
    with mistakes.under(field):
        return Demand(
            source=source,
            target=target,
            rate_millibit_per_s=rate,
            priority=relay.priority,
            max_hops=relay.max_hops if relay.HasField("max_hops") else None,
            avoid_nodes=avoid_nodes,
            avoid_links=avoid_links,
            pass_nodes=pass_nodes,
            pass_links=pass_links,
            trust_domains=trust_domains,
            shares=relay.shares if relay.HasField("shares") else 1,
            protection=protection,
            hold_off_ms=hold_off_ms,
            lifetime_s=lifetime_s,
            forward_share=relay.forward_share if relay.HasField("forward_share") else 0.5,
            manual=mode is RestorationMode.MANUAL,
            revertive=relay.revertive,
            wait_to_restore_ms=wait_to_restore_ms,
            may_preempt=relay.may_preempt,
        )
    return None


def _rate(relay: pb.KeyRelay, field: str, mistakes: Mistakes) -> int:
    """Return the rate in millibit/s; 1 once noted as a mistake."""
    match relay.WhichOneof("rate"):
        case "rate_bit_per_s":
            return mistakes.millibit_per_s(relay.rate_bit_per_s, f"{field}.rate_bit_per_s", up=True, positive=True)
        case "key_rate":
            told = relay.key_rate
            interval_ns = mistakes.duration_ns(told.interval, f"{field}.key_rate.interval")
            for name, value in (("key_size_bit", told.key_size_bit), ("keys", told.keys), ("interval", interval_ns)):
                if value <= 0:
                    mistakes.add(f"{field}.key_rate.{name}", "must be above 0")
            if not (told.key_size_bit and told.keys and interval_ns > 0):
                return 1
            if told.key_size_bit * told.keys * _LEAST_INTERVAL_NS < interval_ns:
                mistakes.add(f"{field}.key_rate", "is below 0.001 bit/s, the least that is taken")
                return 1
            rate = key_rate_millibit(told.key_size_bit, told.keys, interval_ns)
            if rate > UINT32_MAX * 1000:
                mistakes.add(f"{field}.key_rate", f"is {rate // 1000} bit/s; up to {UINT32_MAX} bit/s are taken")
                return 1
            return rate
        case _:
            mistakes.add(f"{field}.rate_bit_per_s", "is required: rate_bit_per_s or key_rate")
            return 1


def relay_from_pb(relay_id: str, relay: pb.KeyRelay, *, field: str = "key_relay", named: bool = True) -> KeyRelay:
    """Return the relay that a client asks for; only what clients set is filled in.

    Args:
        relay_id: Its id; checked by the caller.
        relay: What it is; output-only fields are ignored.
        field: Where it stands in the request, for messages.
        named: Whether the client chose the id; messages are silent about one that it never saw.

    Raises:
        InvalidValue: With every mistake.
    """
    mistakes = Mistakes(f"keyRelays/{relay_id}" if named else "")
    demand = demand_from_pb(relay, mistakes, field=field)
    applications = applications_from_pb(relay, mistakes, field=field)
    mistakes.settle()
    return KeyRelay(
        name=relay_id,
        demand=mistakes.built(demand),
        applications=applications,
        admin_enabled=relay.admin_enabled if relay.HasField("admin_enabled") else True,
        accept_blocked=relay.accept_blocked,
    )


def applications_from_pb(relay: pb.KeyRelay, mistakes: Mistakes, *, field: str = "key_relay") -> tuple[str, ...]:
    """Return the ids of the applications that a client names, in either field, ascending."""
    if len(relay.applications) > _MAX_NAMED:
        mistakes.add(f"{field}.applications", f"names {len(relay.applications)}; at most {_MAX_NAMED} are taken")
    named = set(mistakes.ids("applications", relay.applications[:_MAX_NAMED], f"{field}.applications"))
    if relay.application:
        named.add(mistakes.id("applications", relay.application, f"{field}.application"))
    return tuple(sorted(named))


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
        reservations=reservations_to_pb(relay_charges(relay), in_use=relay.links()),
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
