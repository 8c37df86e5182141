"""What a person is shown of each kind of resource."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

from controller.cli.names import short, shorts
from controller.cli.output import Part, Sheet, Table
from controller.cli.quantities import shown_duration, shown_moment, shown_number
from controller.cli.tables_of_pairs import (
    LINK_COLUMNS,
    NODE_COLUMNS,
    any_pairs,
    link_cells,
    node_cells,
    pair_remarks,
    planned_pairs,
)
from qinet.northbound.v1.key_relay_pb2 import KeyRelay
from qinet.types.v1.types_pb2 import LinkStatus, PerformanceKind, Severity

if TYPE_CHECKING:
    from qinet.northbound.v1.application_pb2 import Application, Sae
    from qinet.northbound.v1.entanglement_path_pb2 import EntanglementPath
    from qinet.northbound.v1.key_relay_pb2 import Reservation, Route
    from qinet.northbound.v1.key_relay_service_pb2 import ComputeRoutesResponse
    from qinet.northbound.v1.link_pb2 import Link
    from qinet.northbound.v1.node_pb2 import Node
    from qinet.northbound.v1.operations_service_pb2 import Agent, Alarm
    from qinet.northbound.v1.topology_service_pb2 import TopologyAction

_PROTECTIONS: Final = {"ONE_FOR_ONE": "1:1", "ONE_PLUS_ONE": "1+1"}
_SOON_S: Final = 86_400  # a link that lasts longer is not worth a remark


def node_table(nodes: "Iterable[Node]") -> Table:
    """Return the nodes, one a row; with what they have for pairs where some have."""
    shown = list(nodes)
    entangled = any_pairs(shown)
    return Table(
        columns=(
            "node", "location", "trust domain", "interfaces", "connected", "administration",
            *(NODE_COLUMNS if entangled else ()),
        ),
        dispensable=("interfaces", "trust domain", "location", *NODE_COLUMNS),
        rows=tuple(
            (
                short(node.name),
                node.location,
                node.trust_domain,
                ", ".join(str(interface.number) for interface in node.interfaces),
                _yes(node.connected),
                _administration(node),
                *(node_cells(node) if entangled else ()),
            )
            for node in shown
        ),
    )  # fmt: skip


def link_table(links: "Iterable[Link]") -> Table:
    """Return the links, one a row; rates of key in bit/s, and of pairs in pairs/s where some links make them."""
    shown = list(links)
    entangled = any_pairs(shown)
    return Table(
        columns=(
            "link", "ends", "status", "promised bit/s", "capacity bit/s", "reserved bit/s", "stored bit", "qber",
            *(LINK_COLUMNS if entangled else ()), "remarks",
        ),
        dispensable=("promised bit/s", "qber", "ends", "stored bit", *LINK_COLUMNS[:1], *LINK_COLUMNS[-1:]),
        rows=tuple(
            (
                short(link.name),
                _ends(link),
                link_status(link),
                *_key_cells(link),
                *(link_cells(link) if entangled else ()),
                "; ".join(link_remarks(link)),
            )
            for link in shown
        ),
    )  # fmt: skip


def _key_cells(link: "Link") -> tuple[str, ...]:
    if link.HasField("pairs"):
        return ("",) * 5
    return (
        shown_number(link.promised_skr_bit_per_s),
        shown_number(link.capacity_bit_per_s),
        shown_number(link.reserved_bit_per_s),
        str(link.measurement.stored_key_bit) if link.HasField("measurement") else "",
        _performance(link),
    )


def planned_node_table(nodes: "Iterable[Node]") -> Table:
    """Return the nodes of a file, one a row."""
    shown = list(nodes)
    entangled = any_pairs(shown)
    return Table(
        columns=("node", "location", "trust domain", "interfaces", *(NODE_COLUMNS if entangled else ()), "remarks"),
        rows=tuple(
            (
                short(node.name),
                node.location,
                node.trust_domain,
                ", ".join(str(interface.number) for interface in node.interfaces),
                *(node_cells(node) if entangled else ()),
                "" if (administration := _administration(node)) == "enabled" else administration,
            )
            for node in shown
        ),
    )


def planned_link_table(links: "Iterable[Link]") -> Table:
    """Return the links of a file, one a row."""
    shown = list(links)
    entangled = any_pairs(shown)
    return Table(
        columns=(
            "link", "ends", "length km", "loss db", "model bit/s", "capacity bit/s", "expected qber",
            *(("pairs",) if entangled else ()), "remarks",
        ),
        dispensable=("model bit/s", "expected qber", "loss db"),
        rows=tuple(
            (
                short(link.name),
                _ends(link),
                shown_number(link.length_km) if link.HasField("length_km") else "",
                shown_number(link.loss_db) if link.HasField("loss_db") else "",
                "" if link.HasField("pairs") else shown_number(link.model_skr_bit_per_s),
                "" if link.HasField("pairs") else shown_number(link.capacity_bit_per_s),
                f"{link.expected_qber:.4f}" if link.HasField("expected_qber") else "",
                *((planned_pairs(link.pairs) if link.HasField("pairs") else "",) if entangled else ()),
                "; ".join(link_remarks(link)),
            )
            for link in shown
        ),
    )  # fmt: skip


def _ends(link: "Link") -> str:
    return " - ".join(f"{short(end.node)}:{end.interface}" for end in link.ends)


def link_status(link: "Link") -> str:
    """Return the status word of a link."""
    return _word(LinkStatus.Name(link.status), "LINK_STATUS_")


def link_remarks(link: "Link") -> list[str]:
    """Return what is unusual about a link."""
    from qinet.northbound.v1.link_pb2 import Establishment

    found: list[str] = []
    if link.establishment == Establishment.ESTABLISHMENT_POSSIBLE:
        found.append("possible, not established")
    if link.stale:
        found.append("stale")
    if link.down_at:
        found.append(f"down at {shorts(link.down_at)}" + (f": {link.down_reason}" if link.down_reason else ""))
    if link.exhausted:
        found.append("stored key at its floor")
    if (administration := _administration(link)) != "enabled":
        found.append(administration)
    if link.entanglement_path:
        found.append(f"key of {link.entanglement_path}")
    found += pair_remarks(link)
    lasting = link.measurement.HasField("time_to_empty") and link.measurement.time_to_empty.seconds < _SOON_S
    if lasting and link.status != LinkStatus.LINK_STATUS_ACTIVE:  # one that generates is filled again
        found.append(f"empty in {shown_duration(link.measurement.time_to_empty)}")
    return found


def _performance(link: "Link") -> str:
    measured = link.measurement
    if not measured.HasField("performance"):
        return ""
    kind = measured.performance_kind
    figure = f"{measured.performance:.4f}"
    if kind == PerformanceKind.PERFORMANCE_KIND_QBER:
        return figure
    return f"{_word(PerformanceKind.Name(kind), 'PERFORMANCE_KIND_').lower().replace('_', ' ')} {figure}"


def relay_table(relays: "Iterable[KeyRelay]") -> Table:
    """Return the key relays, one a row."""
    return Table(
        columns=("relay", "source", "target", "rate bit/s", "state", "route", "version", "applications", "reason"),
        dispensable=("version", "route", "applications"),
        rows=tuple(
            (
                short(relay.name),
                short(relay.source),
                short(relay.target),
                shown_number(relay.rate_bit_per_s),
                relay_state(relay),
                " | ".join(map(route_text, relay.routes)),
                str(relay.route_version),
                shorts(fed_by(relay)),
                relay.state_reason,
            )
            for relay in relays
        ),
    )


def fed_by(relay: "KeyRelay") -> list[str]:
    """Return the applications that a relay's keys are for."""
    return list(relay.applications) or ([relay.application] if relay.application else [])


def relay_state(relay: "KeyRelay") -> str:
    """Return the state word of a relay."""
    return state_word(relay.state)


def state_word(state: int) -> str:
    """Return the word for a state of a relay or path."""
    return _word(KeyRelay.State.Name(state), "STATE_")  # type: ignore[arg-type]  # any enum number


def relay_phase(relay: "KeyRelay") -> str:
    """Return how far a change of route has come, in a word; empty when there is none under way."""
    return phase_word(relay.phase)


def phase_word(phase: int) -> str:
    """Return the word for a phase of a relay or path; empty when no change of route is under way."""
    if phase in {KeyRelay.PHASE_UNSPECIFIED, KeyRelay.PHASE_SETTLED}:
        return ""
    return _word(KeyRelay.Phase.Name(phase), "PHASE_").lower()  # type: ignore[arg-type]  # any enum number


def route_text(route: "Route") -> str:
    """Return a route on one line, nodes and links: `a -[a-b]- b`."""
    if not route.hops:
        return ""
    return short(route.hops[0].start_node) + "".join(
        f" -[{short(hop.link)}]- {short(hop.end_node)}" for hop in route.hops
    )


def relay_parts(relay: "KeyRelay", now: datetime | None) -> list[Part]:
    """Return all there is to know about one relay; moments relative to `now` if that is given."""
    protection = _word(relay.Protection.Name(relay.protection), "PROTECTION_")
    facts = (
        ("relay", relay.name),
        ("state", relay_state(relay)),
        ("reason", relay.state_reason),
        ("phase", relay_phase(relay)),
        ("link status", _word(LinkStatus.Name(relay.link_status), "LINK_STATUS_") if relay.link_status else ""),
        ("source", relay.source),
        ("target", relay.target),
        ("rate", f"{shown_number(relay.rate_bit_per_s)} bit/s"),
        ("applications", ", ".join(fed_by(relay))),
        ("priority", str(relay.priority)),
        ("max hops", str(relay.max_hops) if relay.HasField("max_hops") else ""),
        ("avoid", ", ".join([*relay.avoid_nodes, *relay.avoid_links])),
        ("pass", ", ".join([*relay.pass_nodes, *relay.pass_links])),
        ("trust domains", ", ".join(relay.trust_domains)),
        ("shares", str(relay.shares) if relay.HasField("shares") else "1"),
        ("protection", _PROTECTIONS.get(protection, protection.lower()) if relay.protection else ""),
        ("backup", _backup(relay)),
        ("revertive", _reverting(relay)),
        ("restoration", "manual" if relay.restoration_mode == relay.RESTORATION_MODE_MANUAL else ""),
        ("trusted transit", "none: only links directly between its ends" if relay.no_trusted_transit else ""),
        ("pre-emption", "may take the place of lower priorities" if relay.may_preempt else ""),
        ("hold-off", shown_duration(relay.hold_off) if relay.hold_off.ByteSize() else ""),
        ("forward share", shown_number(relay.forward_share) if relay.HasField("forward_share") else ""),
        ("accept blocked", _yes(relay.accept_blocked) if relay.accept_blocked else ""),
        ("administration", "" if enabled(relay) else "disabled"),
        ("riding on store", "yes" if relay.riding_on_store else ""),
        ("route version", str(relay.route_version)),
        ("unconfirmed", shorts(relay.unconfirmed_nodes)),
        ("created", " by ".join(filter(None, (shown_moment(relay.create_time, now), relay.created_by)))),
        ("expires", shown_moment(relay.expire_time, now)),
        ("etag", relay.etag),
    )
    parts: list[Part] = [Sheet(facts=facts)]
    for title, routes in (
        ("Routes", relay.routes),
        ("Backup routes", relay.backup_routes),
        ("Routes that it is leaving", relay.retiring_routes),
    ):
        if routes:
            parts.append(route_table(routes, title))
    if relay.reservations:
        parts.append(_reservation_table(relay.reservations))
    if relay.ends:
        parts.append(
            Table(
                title="Ends",
                columns=(
                    "node",
                    "confirmed",
                    "stock bit",
                    "confirmed bit",
                    "delivered bit",
                    "voided chunks",
                    "remarks",
                ),
                rows=tuple(
                    (
                        short(end.node),
                        _yes(end.confirmed),
                        str(end.stock_bit),
                        str(end.confirmed_bit_total),
                        str(end.delivered_bit_total),
                        str(end.voided_chunk_total),
                        "starved" if end.starved else "",
                    )
                    for end in relay.ends
                ),
            )
        )
    return parts


def _backup(relay: "KeyRelay") -> str:
    protected = relay.protection in {relay.PROTECTION_ONE_FOR_ONE, relay.PROTECTION_ONE_PLUS_ONE}
    if not relay.backup_routes:
        return "none" if protected else ""
    return f"{'ready' if relay.backup_ready else 'not ready'}, version {relay.backup_route_version}"


def _reverting(relay: "KeyRelay") -> str:
    if not relay.revertive:
        return ""
    return f"after {shown_duration(relay.wait_to_restore)}" if relay.HasField("wait_to_restore") else "yes"


def route_table(routes: "Sequence[Route]", title: str) -> Table:
    """Return routes hop by hop."""
    return Table(
        title=title,
        columns=("share", "hop", "from", "link", "to"),
        rows=tuple(
            (str(share), str(number), short(hop.start_node), short(hop.link), short(hop.end_node))
            for share, route in enumerate(routes, 1)
            for number, hop in enumerate(route.hops, 1)
        ),
    )


def _reservation_table(reservations: "Iterable[Reservation]") -> Table:
    return Table(
        title="Reservations",
        columns=("link", "charge bit/s", "remarks"),
        rows=tuple(
            (short(one.link), shown_number(one.charge_bit_per_s), "releasing" if one.releasing else "")
            for one in reservations
        ),
    )


def candidate_parts(answer: "ComputeRoutesResponse") -> list[Part]:
    """Return candidate routes, best first."""
    return [
        Table(
            columns=("rank", "links", "bottleneck bit/s", "charge bit/s", "route"),
            rows=tuple(
                (
                    str(rank),
                    str(sum(len(route.hops) for route in candidate.routes)),
                    shown_number(candidate.bottleneck_bit_per_s),
                    shown_number(max((one.charge_bit_per_s for one in candidate.reservations), default=0.0)),
                    " | ".join(map(route_text, candidate.routes)),
                )
                for rank, candidate in enumerate(answer.candidates, 1)
            ),
        )
    ]


def application_table(applications: "Iterable[Application]") -> Table:
    """Return the applications, one a row."""
    return Table(
        columns=("application", "server sae", "client saes", "key size bit", "relays"),
        rows=tuple(
            (
                short(one.name),
                short(one.server_sae),
                shorts(one.client_saes),
                str(one.key_size_bit or 256),
                shorts(one.key_relays or ([one.key_relay] if one.key_relay else [])),
            )
            for one in applications
        ),
    )


def sae_table(saes: "Iterable[Sae]") -> Table:
    """Return the SAE directory, one a row."""
    return Table(
        columns=("sae", "node", "applications"),
        rows=tuple((short(sae.name), short(sae.node), shorts(sae.applications)) for sae in saes),
    )


def agent_table(agents: "Iterable[Agent]") -> Table:
    """Return the agents, one a row."""
    return Table(
        columns=(
            "node", "connected", "version", "peer address", "delivery address", "up to date", "entries", "unconfirmed",
            "remarks",
        ),
        dispensable=("peer address", "delivery address", "version", "entries"),
        rows=tuple(
            (
                short(agent.node),
                _yes(agent.connected),
                agent.agent_version,
                agent.peer_address,
                agent.delivery_address,
                _yes(agent.up_to_date),
                str(agent.entries_in_force),
                shorts([*agent.unconfirmed_relays, *agent.unconfirmed_paths]),
                "; ".join(
                    [
                        *([agent.ended_because] if agent.ended_because else []),
                        *(f"refuses {one.entry}: {one.code} {one.message}".rstrip() for one in agent.refused_entries),
                    ]
                ),
            )
            for agent in agents
        ),
    )  # fmt: skip


def alarm_table(alarms: "Iterable[Alarm]", now: datetime | None) -> Table:
    """Return the alarms, one a row; moments relative to `now` if that is given."""
    return Table(
        columns=("severity", "raised by", "object", "kind", "since", "message"),
        dispensable=("raised by", "since"),
        rows=tuple(
            (
                _word(Severity.Name(alarm.severity), "SEVERITY_"),
                short(alarm.node) or "controller",
                alarm.object,
                alarm.kind,
                shown_moment(alarm.raise_time, now),
                alarm.message,
            )
            for alarm in alarms
        ),
    )


def action_table(actions: "Iterable[TopologyAction]") -> Table:
    """Return the steps of a topology change, one a row."""
    return Table(
        columns=("action", "resource", "fields"),
        rows=tuple((_word(one.Kind.Name(one.kind), "KIND_"), one.resource, ", ".join(one.fields)) for one in actions),
    )


def _word(name: str, prefix: str) -> str:
    return name.removeprefix(prefix)


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def enabled(resource: "Node | Link | KeyRelay | EntanglementPath") -> bool:
    """Tell whether something is wanted now."""
    return resource.admin_enabled if resource.HasField("admin_enabled") else True


def _administration(resource: "Node | Link") -> str:
    if not enabled(resource):
        return "disabled"
    return "maintenance" if resource.maintenance else "enabled"
