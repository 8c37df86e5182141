"""Resources as the API tells them: what is committed, what is derived, what is measured, put together."""

import hashlib

from controller.domain.alarm import CONTROLLER, Alarm, Severity
from controller.domain.application import Application, Sae
from controller.domain.capacity import service_charges
from controller.domain.entanglement_path import EntanglementPath
from controller.domain.key_relay import KeyRelay, RelayState
from controller.domain.link import Link, LinkStatus
from controller.domain.node import Node
from controller.domain.snapshot import Snapshot
from controller.northbound.measurements import Measurements
from controller.ports.clock import Clock
from controller.ports.observations import Observations
from controller.service.published import Published
from controller.wire.northbound_application import application_to_pb, sae_to_pb
from controller.wire.northbound_entanglement_path import path_to_pb
from controller.wire.northbound_key_relay import relay_to_pb, service_name, virtual_status
from controller.wire.northbound_link import link_to_pb
from controller.wire.northbound_node import node_to_pb
from controller.wire.northbound_values import WireEnum, timestamp_ms
from qinet.northbound.v1 import (
    application_pb2,
    entanglement_path_pb2,
    key_relay_pb2,
    link_pb2,
    node_pb2,
    operations_service_pb2,
)
from qinet.types.v1 import types_pb2

SEVERITY = WireEnum(Severity, types_pb2.Severity, "SEVERITY")


class Views:
    """Renders documents. Reads only; the published state is an argument, so that an answer is of one revision."""

    def __init__(self, observations: Observations, clock: Clock) -> None:
        self._observations = observations
        self._clock = clock
        self.measurements = Measurements(observations, clock)

    def node(self, published: Published, node: Node) -> node_pb2.Node:
        """Return a node."""
        snapshot = published.snapshot
        return node_to_pb(node, network=snapshot.network, connected=node.name in snapshot.connected)

    def link(self, published: Published, link: Link) -> link_pb2.Link:
        """Return a link."""
        snapshot = published.snapshot
        condition = snapshot.condition(link.name)
        return link_to_pb(
            link,
            condition,
            reserved_millibit_per_s=0 if link.pairs else published.reserved.get(link.name, 0),
            reserved_pairs=published.reserved.get(link.name, 0) if link.pairs else 0,
            stale=snapshot.stale(link),
            network=snapshot.network,
            measurement=self.link_measurement(published, link),
        )

    def link_measurement(self, published: Published, link: Link) -> link_pb2.LinkMeasurement | None:
        """Return what is measured of a link; None before the first report."""
        reserved = published.reserved.get(link.name, 0)
        return self.measurements.link(link, published.snapshot.condition(link.name), reserved)

    def relay_status(self, published: Published, relay: KeyRelay) -> LinkStatus:
        """Return the state of a relay as a VIRT link of GS QKD 015."""
        # DEGRADED with every agent there means slower than promised; without one of them nothing is known to flow.
        flowing = relay.state is RelayState.ACTIVE or (
            relay.state is RelayState.DEGRADED and relay.nodes() <= published.snapshot.connected
        )
        return virtual_status(relay, flowing=flowing, stored=self.measurements.relay_has_stock(relay))

    def relay(self, published: Published, relay: KeyRelay) -> key_relay_pb2.KeyRelay:
        """Return a key relay."""
        snapshot = published.snapshot
        return relay_to_pb(
            relay,
            revision=snapshot.revision,
            service_time_ms=snapshot.service_time_ms,
            wall_ms=self._clock.wall_ms(),
            network=snapshot.network,
            unconfirmed=published.unconfirmed.get(relay.name, ()),
            status=self.relay_status(published, relay),
            ends=self.measurements.relay(relay),
            backup_ready=backup_ready(snapshot, relay),
        )

    def path(self, published: Published, path: EntanglementPath) -> entanglement_path_pb2.EntanglementPath:
        """Return an entanglement path."""
        snapshot = published.snapshot
        return path_to_pb(
            path,
            charges=service_charges(path),
            revision=snapshot.revision,
            service_time_ms=snapshot.service_time_ms,
            wall_ms=self._clock.wall_ms(),
            network=snapshot.network,
            unconfirmed=published.unconfirmed.get(path.key, ()),
            ends=self.measurements.path(path),
        )

    def application(self, published: Published, application: Application) -> application_pb2.Application:
        """Return an application."""
        return application_to_pb(
            application, relays=relays_of(published, application), network=published.snapshot.network
        )

    def sae(self, published: Published, sae: Sae) -> application_pb2.Sae:
        """Return an SAE."""
        users = [app.name for app in published.snapshot.applications.values() if sae.id in app.saes]
        return sae_to_pb(sae, applications=users)

    def alarm(self, alarm: Alarm) -> operations_service_pb2.Alarm:
        """Return an alarm."""
        told = operations_service_pb2.Alarm(
            name=alarm_name(alarm),
            node="" if alarm.node == CONTROLLER else f"nodes/{alarm.node}",
            object=alarm.object,
            kind=alarm.kind,
            severity=SEVERITY.number(alarm.severity),
            message=alarm.message,
        )
        if alarm.raised_ms:
            told.raise_time.CopyFrom(timestamp_ms(alarm.raised_ms))
        return told

    def agent(self, published: Published, node: str) -> operations_service_pb2.Agent:
        """Return the agent of a node, be it known or not."""
        snapshot = published.snapshot
        unconfirmed = [service_name(key) for key, nodes in sorted(published.unconfirmed.items()) if node in nodes]
        told = operations_service_pb2.Agent(
            node=f"nodes/{node}",
            connected=node in snapshot.connected,
            confirmed_version=published.confirmed_version.get(node, 0),
            desired_digest=published.digests.get(node, b"").hex(),
            unconfirmed_relays=[name for name in unconfirmed if name.startswith("keyRelays/")],
            unconfirmed_paths=[name for name in unconfirmed if name.startswith("entanglementPaths/")],
        )
        record = snapshot.agents.get(node)
        if record is not None:
            told.agent_version = record.version
            told.store_id = record.store_id
            told.peer_address = record.peer_address
            told.delivery_address = record.delivery_address
        seen = self._observations.agent(node)
        if seen is not None:
            told.confirmed_digest = seen.in_force_digest.hex()
            told.entries_in_force = seen.in_force_entries
            told.up_to_date = bool(seen.in_force_digest) and seen.in_force_digest == published.digests.get(node)
            told.ended_because = seen.ended_because
            told.session_start_time.CopyFrom(self.measurements.moment(seen.session_start_ms))
            told.last_heard_time.CopyFrom(self.measurements.moment(seen.last_heard_ms))
            told.refused_entries.extend(
                operations_service_pb2.RefusedEntry(entry=entry, code=code, message=message)
                for entry, (code, message) in sorted(seen.refused.items())
            )
            if seen.clock_offset_ms is not None:
                told.clock_offset_ms = seen.clock_offset_ms
        return told


def alarm_name(alarm: Alarm) -> str:
    """Return the name of an alarm: the same for the same key."""
    return f"alarms/{hashlib.sha256(chr(0).join(alarm.key).encode()).hexdigest()[:16]}"


def backup_ready(snapshot: Snapshot, relay: KeyRelay) -> bool:
    """Tell whether the backup of a relay could take over now."""
    return (
        relay.backup is not None
        and relay.backup_installed
        and all(snapshot.condition(link).generating for link in relay.backup.links())
        and relay.backup.nodes() <= snapshot.connected
    )


def relays_of(published: Published, application: Application) -> list[str]:
    """Return the ids of the key relays that feed an application, by name."""
    return sorted(
        relay.name
        for relay in published.snapshot.relays.values()
        if application.name in relay.applications and not relay.removed
    )
