"""Applications, SAEs and key relays, as the store keeps them."""

from collections.abc import Iterable

from controller.domain.application import Application, Qos, Sae
from controller.domain.history import RelayChange, RelayHistory
from controller.domain.key_relay import Demand, KeyRelay, Releasing, RouteSet
from controller.domain.route import Route
from controller.wire.stored_enums import PHASE, PROTECTION, RELAY_STATE
from controller.wire.stored_network import pair
from qinet.store.v1 import service_pb2 as pb


def sae_to_pb(sae: Sae) -> pb.Sae:
    """Return the stored form of an SAE."""
    return pb.Sae(id=sae.id, node=sae.node)


def sae_from_pb(stored: pb.Sae) -> Sae:
    """Return the SAE of a stored form."""
    return Sae(id=stored.id, node=stored.node)


def application_to_pb(application: Application) -> pb.Application:
    """Return the stored form of an application."""
    qos = application.qos
    return pb.Application(
        name=application.name,
        server_sae=application.server_sae,
        client_saes=application.client_saes,
        qos=pb.Qos(
            max_bandwidth_bit_per_s=qos.max_bandwidth_bit_per_s,
            min_bandwidth_bit_per_s=qos.min_bandwidth_bit_per_s,
            jitter_ms=qos.jitter_ms,
            ttl_s=qos.ttl_s,
            priority=qos.priority,
        ),
        key_size_bit=application.key_size_bit,
    )


def application_from_pb(stored: pb.Application) -> Application:
    """Return the application of a stored form."""
    return Application(
        name=stored.name,
        server_sae=stored.server_sae,
        client_saes=tuple(stored.client_saes),
        qos=Qos(
            max_bandwidth_bit_per_s=stored.qos.max_bandwidth_bit_per_s,
            min_bandwidth_bit_per_s=stored.qos.min_bandwidth_bit_per_s,
            jitter_ms=stored.qos.jitter_ms,
            ttl_s=stored.qos.ttl_s,
            priority=stored.qos.priority,
        ),
        key_size_bit=stored.key_size_bit,
    )


def demand_to_pb(demand: Demand) -> pb.Demand:
    """Return the stored form of a demand."""
    return pb.Demand(
        source=demand.source,
        target=demand.target,
        rate_millibit_per_s=demand.rate_millibit_per_s,
        priority=demand.priority,
        max_hops=demand.max_hops,
        avoid_nodes=sorted(demand.avoid_nodes),
        avoid_links=sorted(demand.avoid_links),
        pass_nodes=sorted(demand.pass_nodes),
        pass_links=sorted(demand.pass_links),
        trust_domains=sorted(demand.trust_domains),
        shares=demand.shares,
        protection=PROTECTION.number(demand.protection),
        hold_off_ms=demand.hold_off_ms,
        lifetime_s=demand.lifetime_s,
        forward_share=demand.forward_share,
        manual=demand.manual,
        revertive=demand.revertive,
        wait_to_restore_ms=demand.wait_to_restore_ms,
        may_preempt=demand.may_preempt,
        no_trusted_transit=demand.no_trusted_transit,
    )


def demand_from_pb(stored: pb.Demand) -> Demand:
    """Return the demand of a stored form."""
    return Demand(
        source=stored.source,
        target=stored.target,
        rate_millibit_per_s=stored.rate_millibit_per_s,
        priority=stored.priority,
        max_hops=stored.max_hops if stored.HasField("max_hops") else None,
        avoid_nodes=frozenset(stored.avoid_nodes),
        avoid_links=frozenset(stored.avoid_links),
        pass_nodes=frozenset(stored.pass_nodes),
        pass_links=frozenset(stored.pass_links),
        trust_domains=frozenset(stored.trust_domains),
        shares=stored.shares,
        protection=PROTECTION.member(stored.protection),
        hold_off_ms=stored.hold_off_ms,
        lifetime_s=stored.lifetime_s if stored.HasField("lifetime_s") else None,
        forward_share=stored.forward_share,
        manual=stored.manual,
        revertive=stored.revertive,
        wait_to_restore_ms=stored.wait_to_restore_ms if stored.HasField("wait_to_restore_ms") else 300_000,
        may_preempt=stored.may_preempt,
        no_trusted_transit=stored.no_trusted_transit,
    )


def relay_to_pb(relay: KeyRelay) -> pb.KeyRelay:
    """Return the stored form of a key relay."""
    return pb.KeyRelay(
        name=relay.name,
        demand=demand_to_pb(relay.demand),
        applications=sorted(relay.applications),
        admin_enabled=relay.admin_enabled,
        accept_blocked=relay.accept_blocked,
        state=RELAY_STATE.number(relay.state),
        state_reason=relay.state_reason,
        phase=PHASE.number(relay.phase),
        routes=routes_to_pb(relay.routes),
        route_version=relay.route_version,
        releasing=releasing_to_pb(relay.releasing),
        confirmed_by=sorted(relay.confirmed_by),
        riding=relay.riding,
        ever_active=relay.ever_active,
        created_by=relay.created_by,
        created_ms=relay.created_ms,
        expires_at_ms=relay.expires_at_ms,
        move_at_ms=relay.move_at_ms,
        install_by_ms=relay.install_by_ms,
        retiring=[_route_set_to_pb(routes) for routes in relay.retiring],
        backup=_route_set_to_pb(relay.backup) if relay.backup else None,
        backup_installed=relay.backup_installed,
        drained_at=sorted(relay.drained_at),
        revert_at_ms=relay.revert_at_ms,
        starved_at=sorted(relay.starved_at),
    )


def relay_from_pb(stored: pb.KeyRelay) -> KeyRelay:
    """Return the key relay of a stored form."""
    return KeyRelay(
        name=stored.name,
        demand=demand_from_pb(stored.demand),
        # 0.1.0 wrote one application in a field of its own.
        applications=tuple(stored.applications) or ((stored.application,) if stored.application else ()),
        admin_enabled=stored.admin_enabled,
        accept_blocked=stored.accept_blocked,
        state=RELAY_STATE.member(stored.state),
        state_reason=stored.state_reason,
        phase=PHASE.member(stored.phase),
        routes=routes_from_pb(stored.routes),
        route_version=stored.route_version,
        releasing=releasing_from_pb(stored.releasing, f"keyRelays/{stored.name}"),
        confirmed_by=frozenset(stored.confirmed_by),
        riding=stored.riding,
        ever_active=stored.ever_active,
        created_by=stored.created_by,
        created_ms=stored.created_ms,
        expires_at_ms=stored.expires_at_ms if stored.HasField("expires_at_ms") else None,
        move_at_ms=stored.move_at_ms if stored.HasField("move_at_ms") else None,
        install_by_ms=stored.install_by_ms if stored.HasField("install_by_ms") else None,
        retiring=tuple(_route_set_from_pb(routes) for routes in stored.retiring),
        backup=_route_set_from_pb(stored.backup) if stored.HasField("backup") else None,
        backup_installed=stored.backup_installed,
        drained_at=frozenset(stored.drained_at),
        revert_at_ms=stored.revert_at_ms if stored.HasField("revert_at_ms") else None,
        starved_at=frozenset(stored.starved_at),
    )


def history_to_pb(history: RelayHistory) -> pb.RelayHistory:
    """Return the stored form of what became of a key relay."""
    return pb.RelayHistory(
        relay=history.relay,
        changes=[
            pb.RelayChange(
                revision=change.revision,
                at_ms=change.at_ms,
                state=RELAY_STATE.number(change.state),
                phase=PHASE.number(change.phase),
                reason=change.reason,
                by=change.by,
                routes=routes_to_pb(change.routes),
                route_version=change.route_version,
            )
            for change in history.changes
        ],
        gone_ms=history.gone_ms,
    )


def history_from_pb(stored: pb.RelayHistory) -> RelayHistory:
    """Return what became of a key relay, of its stored form."""
    return RelayHistory(
        relay=stored.relay,
        changes=tuple(
            RelayChange(
                revision=change.revision,
                at_ms=change.at_ms,
                state=RELAY_STATE.member(change.state),
                phase=PHASE.member(change.phase),
                reason=change.reason,
                by=change.by,
                routes=routes_from_pb(change.routes),
                route_version=change.route_version,
            )
            for change in stored.changes
        ),
        gone_ms=stored.gone_ms if stored.HasField("gone_ms") else None,
    )


def releasing_to_pb(releasing: Iterable[Releasing]) -> list[pb.Releasing]:
    """Return the stored form of what a service's earlier routes still hold."""
    return [
        pb.Releasing(
            link=held.link, share=held.share, charge_millibit_per_s=held.charge_millibit_per_s, nodes=held.nodes
        )
        for held in releasing
    ]


def releasing_from_pb(stored: Iterable[pb.Releasing], service: str) -> tuple[Releasing, ...]:
    """Return what the earlier routes of the service of that resource name still hold."""
    return tuple(
        Releasing(
            link=held.link,
            share=held.share,
            charge_millibit_per_s=held.charge_millibit_per_s,
            nodes=pair(held.nodes, f"what {service} holds of {held.link}"),
        )
        for held in stored
    )


def routes_to_pb(routes: Iterable[Route]) -> list[pb.Route]:
    """Return the stored form of routes."""
    return [pb.Route(nodes=route.nodes, links=route.links) for route in routes]


def routes_from_pb(stored: Iterable[pb.Route]) -> tuple[Route, ...]:
    """Return the routes of a stored form."""
    return tuple(Route(nodes=tuple(route.nodes), links=tuple(route.links)) for route in stored)


def _route_set_to_pb(routes: RouteSet) -> pb.RouteSet:
    return pb.RouteSet(
        version=routes.version,
        routes=routes_to_pb(routes.routes),
        in_use=routes.in_use,
        charge_millibit_per_s=routes.charge_millibit_per_s,
        forward_share=routes.forward_share,
    )


def _route_set_from_pb(stored: pb.RouteSet) -> RouteSet:
    return RouteSet(
        version=stored.version,
        routes=routes_from_pb(stored.routes),
        in_use=stored.in_use,
        charge_millibit_per_s=stored.charge_millibit_per_s,
        forward_share=stored.forward_share,
    )
