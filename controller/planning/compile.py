"""From services and topology to what each node must be told: a pure function of the snapshot, owner by owner.

An owner is the link, application, key relay or entanglement path that an entry stands for. What an owner's entries are
depends on a few other documents (`owners_touched`), so that a change recompiles only what it concerns.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from controller.domain.application import Application
from controller.domain.capacity import chunk_bits, rate_within
from controller.domain.entanglement_path import EntanglementPath
from controller.domain.entries import (
    ApplicationEntry,
    ApplicationRemote,
    Entry,
    HopRole,
    LinkEntry,
    PathEntry,
    RelayHopEntry,
)
from controller.domain.key_relay import KeyRelay
from controller.domain.link import Establishment, Link, LinkKind
from controller.domain.route_sets import told_sets
from controller.domain.service import Phase, RouteSet, Service
from controller.domain.snapshot import Changes, Snapshot

Owner = tuple[str, str]
"""(collection, id) of what an entry stands for."""

OWNING: Final = ("links", "applications", "relays", "paths")
_LOW_WATER_S: Final = 30
_HIGH_WATER_S: Final = 90
_LOW_WATER_CHUNKS: Final = 8
_SMALLEST_LOW_WATER_BIT: Final = 16 * 1024


def compile_owner(snapshot: Snapshot, owner: Owner) -> dict[str, tuple[Entry, ...]]:
    """Return the entries of one owner, by node; empty when it does not exist or nothing is to be told."""
    collection, name = owner
    document = getattr(snapshot, collection).get(name)
    entries: dict[str, tuple[Entry, ...]] = {}
    if document is None:
        return entries
    told: Iterator[tuple[str, Entry]]
    match document:
        case Link():
            told = _link_entries(snapshot, document)
        case Application():
            told = _application_entries(snapshot, document)
        case EntanglementPath():
            told = _path_entries(snapshot, document)
        case _:
            told = _relay_entries(snapshot, document)
    for node, entry in told:
        entries[node] = (*entries.get(node, ()), entry)
    return entries


def owner_of(entry_id: str) -> Owner:
    """Return the owner of an entry, by the entry's id.

    >>> owner_of("keyRelays/r1/routes/7/shares/0"), owner_of("links/a-b")
    (('relays', 'r1'), ('links', 'a-b'))
    """
    collection, _, rest = entry_id.partition("/")
    if collection == "keyRelays":
        return "relays", rest.partition("/")[0]
    if collection == "entanglementPaths":
        return "paths", rest.partition("/")[0]
    return collection, rest


def owner_of_service(service: Service) -> Owner:
    """Return what the entries of a service stand for."""
    return service.collection, service.name


def all_owners(snapshot: Snapshot) -> list[Owner]:
    """Return every owner of a snapshot."""
    return [(collection, name) for collection in OWNING for name in getattr(snapshot, collection)]


def owners_touched(before: Snapshot, after: Snapshot, changes: Changes) -> set[Owner]:
    """Return every owner whose entries the changes may have altered."""
    touched: set[Owner] = set()
    for collection, key in changes.folded:
        if collection == "relays":
            touched |= _touched_with(before.relays.get(key), after.relays.get(key))
        elif collection == "paths":
            old, new = before.paths.get(key), after.paths.get(key)
            if old is None or new is None or _told_of(old) != _told_of(new):
                touched.add((collection, key))
        elif collection in OWNING:
            touched.add((collection, key))
        elif collection == "agents":
            touched |= _owners_at(after, key)
        elif collection == "saes":
            touched |= {("applications", name) for name, app in after.applications.items() if key in app.saes}
    return touched


def _touched_with(before: KeyRelay | None, after: KeyRelay | None) -> set[Owner]:
    """Return the owners whose entries differ between two versions of a relay; most changes are of its state alone."""
    versions = [relay for relay in (before, after) if relay is not None]
    touched: set[Owner] = set()
    if len(versions) > 1 and _told_of(versions[0]) != _told_of(versions[1]):
        touched |= {("relays", relay.name) for relay in versions}
    if len({(relay.applications, relay.demand, relay.removed) for relay in versions}) > 1:
        touched |= {("applications", application) for relay in versions for application in relay.applications}
    if len(versions) == 1:
        touched.add(("relays", versions[0].name))
        touched |= {("applications", application) for application in versions[0].applications}
    return touched


def _told_of(service: Service) -> tuple[object, ...]:
    return (
        service.demand,
        service.routes,
        service.route_version,
        service.plan,
        service.phase,
        service.removed,
        service.retiring,
        service.backup,
    )


def _owners_at(snapshot: Snapshot, node: str) -> set[Owner]:
    owners: set[Owner] = {("links", name) for name, link in snapshot.links.items() if node in link.nodes}
    for name, relay in snapshot.relays.items():
        if node in (relay.demand.source, relay.demand.target):
            owners.add(("relays", name))
            owners |= {("applications", application) for application in relay.applications}
    return owners


def _peer_address(snapshot: Snapshot, node: str) -> str:
    record = snapshot.agents.get(node)
    return record.peer_address if record else ""


def _link_entries(snapshot: Snapshot, link: Link) -> Iterator[tuple[str, Entry]]:
    if link.establishment is not Establishment.ESTABLISHED:
        return
    for local, remote in (link.ends, link.ends[::-1]):
        yield (
            local.node,
            LinkEntry(
                link=link.name,
                local_interface=local.interface,
                remote_interface=remote.interface,
                neighbour=remote.node,
                neighbour_address=_peer_address(snapshot, remote.node),
                enabled=link.admin_enabled,
                authentication_floor_bit=link.authentication_floor_bit,
                authentication_rate_millibit_per_s=link.authentication_rate_millibit_per_s,
                qber_limit=link.qber_limit,
                key_ttl_s=link.key_ttl_s,
                entanglement=link.kind is LinkKind.ENTANGLEMENT,
                path=link.path,
            ),
        )


def relays_of(snapshot: Snapshot, application: str) -> list[KeyRelay]:
    """Return the key relays that serve an application and are not being removed, by name."""
    serving = (relay for relay in snapshot.relays.values() if application in relay.applications and not relay.removed)
    return sorted(serving, key=lambda relay: relay.name)


def _application_entries(snapshot: Snapshot, application: Application) -> Iterator[tuple[str, Entry]]:
    saes_at: dict[str, tuple[str, ...]] = {}
    for sae in application.saes:
        if sae in snapshot.saes:
            node = snapshot.saes[sae].node
            saes_at[node] = (*saes_at.get(node, ()), sae)
    remotes: dict[str, dict[str, ApplicationRemote]] = {}
    for relay in relays_of(snapshot, application.name):
        ends = (relay.demand.source, relay.demand.target)
        for local, remote in (ends, ends[::-1]):
            if local in saes_at and remote in saes_at:
                remotes.setdefault(local, {}).setdefault(
                    remote,
                    ApplicationRemote(
                        node=remote,
                        address=_peer_address(snapshot, remote),
                        relay=relay.name,
                        saes=saes_at[remote],
                    ),
                )
    for node, known in remotes.items():
        yield (
            node,
            ApplicationEntry(
                application=application.name,
                local_saes=saes_at[node],
                remotes=tuple(known[remote] for remote in sorted(known)),
                key_size_bit=application.key_size_bit,
                ttl_s=application.qos.ttl_s,
                priority=application.qos.priority,
                max_bandwidth_bit_per_s=application.qos.max_bandwidth_bit_per_s,
            ),
        )


def _told_where(service: Service) -> Iterator[tuple[RouteSet, frozenset[str]]]:
    """Yield every set of routes that stands, with the nodes that are told of it: as long as it does, the same.

    The head end is told of the wanted routes last: until it is, nothing of their version is in use. Of every other
    set it is told whether it still is, in the same update.
    """
    if service.removed or service.phase is Phase.NONE:
        return
    for routes in told_sets(service):
        untold = routes.version == service.route_version and not routes.in_use
        yield routes, routes.nodes() - ({service.demand.source} if untold else frozenset())


def _relay_entries(snapshot: Snapshot, relay: KeyRelay) -> Iterator[tuple[str, Entry]]:
    for routes, nodes in _told_where(relay):
        for share in range(len(routes.routes)):
            for node, entry in _share_entries(snapshot, relay, routes, share):
                if node in nodes:
                    yield node, entry


def _path_entries(snapshot: Snapshot, path: EntanglementPath) -> Iterator[tuple[str, Entry]]:
    """Yield the whole plan for every node of every version: each takes of it what concerns it."""
    demand = path.demand
    for routes, nodes in _told_where(path):
        route, plan = routes.routes[0], routes.plan
        assert plan is not None
        lengths = (snapshot.links[link].length_km if link in snapshot.links else None for link in route.links)
        entry = PathEntry(
            path=path.name,
            route_version=routes.version,
            nodes=route.nodes,
            hops=plan.hops,
            hop_lengths_m=tuple(round(1000 * (length or 0.0)) for length in lengths),
            swaps=plan.swaps,
            regime=plan.regime,
            lanes=plan.lanes,
            buffer_pairs=plan.buffer_pairs,
            use=demand.use,
            purpose=demand.purpose,
            priority=demand.priority,
            test_share=plan.test_share,
            rate_millihertz=plan.rate_millihertz,
            fidelity=plan.fidelity,
            minimum_fidelity=demand.minimum_fidelity,
            packet_pairs=demand.packets.pairs if demand.packets else 0,
            packet_window_ms=demand.packets.window_ms if demand.packets else 0,
            key_link=demand.key_link,
            distillation_block_bit=demand.distillation_block_bit if demand.key_link else 0,
        )
        for node in route.nodes:
            if node in nodes:
                yield node, replace(entry, passive=True) if node == entry.head and not routes.in_use else entry


def _share_entries(
    snapshot: Snapshot, relay: KeyRelay, routes: RouteSet, share: int
) -> Iterator[tuple[str, RelayHopEntry]]:
    demand = relay.demand
    route = routes.routes[share]
    rate = rate_within(routes.charge_millibit_per_s)  # the charge rises with the rate, so that it tells it
    chunk = chunk_bits(rate)
    low = max(_LOW_WATER_CHUNKS * chunk, rate * _LOW_WATER_S // 1000, _SMALLEST_LOW_WATER_BIT)
    high = max(2 * low, rate * _HIGH_WATER_S // 1000)
    hops: list[Any] = [None, *route.hops(), None]
    for place, node in enumerate(route.nodes):
        role = HopRole.HEAD if node == demand.source else HopRole.FAR if node == demand.target else HopRole.TRANSIT
        other = {HopRole.HEAD: demand.target, HopRole.FAR: demand.source}.get(role)
        yield (
            node,
            RelayHopEntry(
                relay=relay.name,
                share=share,
                shares=len(routes.routes),
                route_version=routes.version,
                role=role,
                previous=hops[place],
                next=hops[place + 1],
                head=demand.source,
                far=demand.target,
                far_address=_peer_address(snapshot, other) if other else "",
                rate_millibit_per_s=rate,
                forward_share=routes.forward_share,
                chunk_bit=chunk,
                stock_low_bit=low,
                stock_high_bit=high,
                passive=role is HopRole.HEAD and not routes.in_use,
            ),
        )
