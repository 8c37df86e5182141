"""Decisions on nodes and links: pure functions from snapshot and request to changes."""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final, TypeVar

from controller.domain.alarm import CONTROLLER
from controller.domain.capacity import over_reserved, reserved_by
from controller.domain.link import Establishment, Link, LinkKind
from controller.domain.node import Interface, Node, Technology
from controller.domain.pair_capacity import stream_shares
from controller.domain.pair_link import PairModel
from controller.domain.refusals import AlreadyExists, InvalidValue, NotFound, Precondition
from controller.domain.service import Service
from controller.domain.snapshot import Changes, Snapshot, delete, joined, put
from controller.service.requests import ApplyTopology, UpdateAdministration

NETWORKS: Final = uuid.uuid5(uuid.NAMESPACE_URL, "qinet:networks")
"""Namespace of network UUIDs, which GS QKD 015 ids derive from."""

_Administered = TypeVar("_Administered", Node, Link)


def create_node(snapshot: Snapshot, node: Node) -> Changes:
    """Return the changes that add a node.

    Raises:
        AlreadyExists: A node of that name exists.
    """
    if node.name in snapshot.nodes:
        raise AlreadyExists("ALREADY_EXISTS", f"nodes/{node.name} exists", {"resource": f"nodes/{node.name}"})
    return put(node)


def create_link(snapshot: Snapshot, link: Link) -> Changes:
    """Return the changes that add a link.

    Raises:
        AlreadyExists: A link of that name exists.
        InvalidValue: An end, or its interface, does not exist, or serves another established link.
    """
    if link.name in snapshot.links:
        raise AlreadyExists("ALREADY_EXISTS", f"links/{link.name} exists", {"resource": f"links/{link.name}"})
    _check_links(snapshot.nodes, {**snapshot.links, link.name: link}, only=[link.name])
    return put(link)


def _check_links(nodes: Mapping[str, Node], links: Mapping[str, Link], *, only: Iterable[str]) -> None:
    taken: dict[tuple[str, int], list[str]] = {}
    for link in links.values():
        if link.establishment is Establishment.ESTABLISHED and not link.path:  # pairs of a path use no interface
            for end in link.ends:
                taken.setdefault((end.node, end.interface), []).append(link.name)
    for name in only:
        link = links[name]
        for end in link.ends:
            node = nodes.get(end.node)
            if node is None:
                raise InvalidValue(f"links/{name}", ("ends", f"nodes/{end.node} does not exist; create it first"))
            if link.path:
                continue
            interface = node.interface(end.interface)
            if interface is None:
                raise InvalidValue(
                    f"links/{name}",
                    ("ends", f"nodes/{end.node} has no interface {end.interface}; add it to the node first"),
                )
            if link.kind is LinkKind.ENTANGLEMENT:
                _check_pairs(link, node, interface)
            others = [other for other in taken.get((end.node, end.interface), ()) if other != name]
            if others and link.establishment is Establishment.ESTABLISHED:
                where = f"nodes/{end.node}/interfaces/{end.interface}"
                raise InvalidValue(f"links/{name}", ("ends", f"{where} already serves links/{others[0]}"))


def _check_pairs(link: Link, node: Node, interface: Interface) -> None:
    if interface.technology is not Technology.ENTANGLEMENT:
        where = f"nodes/{node.name}/interfaces/{interface.number}"
        raise InvalidValue(
            f"links/{link.name}",
            ("ends", f"{where} is of technology {interface.technology.value}; pairs need one of ENTANGLEMENT"),
        )
    if node.pairs is None:
        raise InvalidValue(
            f"links/{link.name}", ("ends", f"nodes/{node.name} has nothing for entanglement; give the node its `pairs`")
        )


def delete_node(snapshot: Snapshot, name: str) -> Changes:
    """Return the changes that delete a node.

    Raises:
        NotFound: There is none.
        Precondition: IN_USE by links, SAEs, or services that end at it.
    """
    if name not in snapshot.nodes:
        raise NotFound(f"nodes/{name}")
    links = [f"links/{link.name}" for link in snapshot.links.values() if name in link.nodes]
    _refuse_use(f"nodes/{name}", links + _ending_at(snapshot, name))
    return _without_node(snapshot, name)


def _ending_at(snapshot: Snapshot, node: str) -> list[str]:
    ends = [f"saes/{sae.id}" for sae in snapshot.saes.values() if sae.node == node]
    return ends + [
        service.resource
        for service in snapshot.services()
        if node in (service.demand.source, service.demand.target) and not _beyond_reach(snapshot, service, node)
    ]


def _without_node(snapshot: Snapshot, name: str) -> Changes:
    about = (CONTROLLER, f"nodes/{name}")
    alarms = [key for key in snapshot.alarms if key[0] == name or key[:2] == about]
    return joined([delete("nodes", name), delete("agents", name), delete("alarms", *alarms)])


def without_condition(snapshot: Snapshot, link: str) -> Changes:
    """Return the changes that forget what was decided of a link, and the controller's alarms about it."""
    alarms = [key for key in snapshot.alarms if key[:2] == (CONTROLLER, f"links/{link}")]
    conditions = [link] if link in snapshot.conditions else []
    return delete("conditions", *conditions) + delete("alarms", *alarms)


def delete_link(snapshot: Snapshot, name: str) -> Changes:
    """Return the changes that delete a link.

    Raises:
        NotFound: There is none.
        Precondition: IN_USE by services, releasing ones included, or by the path whose pairs its key is made of.
    """
    if name not in snapshot.links:
        raise NotFound(f"links/{name}")
    if path := snapshot.links[name].path:
        raise Precondition(
            "IN_USE",
            f"links/{name} is used by entanglementPaths/{path}: it is its key link, and goes with it; delete that path",
            {"resource": f"links/{name}", "used_by": f"entanglementPaths/{path}"},
        )
    _refuse_use(f"links/{name}", _services_on(snapshot, name))
    return delete("links", name) + without_condition(snapshot, name)


def _told_of_pairs(link: Link) -> tuple[object, ...]:
    """Return what plans and the entries of a path rest on; a version in use is never told anew."""
    return stream_shares(link.pairs), None if link.pairs is None else round(1000 * (link.length_km or 0.0))


def _services_on(snapshot: Snapshot, link: str) -> list[str]:
    return [
        service.resource
        for service in snapshot.services()
        if link in service.told_links()
        or any(held.link == link and not _beyond_reach(snapshot, service, *held.nodes) for held in service.releasing)
    ]


def _beyond_reach(snapshot: Snapshot, service: Service, *nodes: str) -> bool:
    """Tell whether a service is being removed, and none of these nodes is there to confirm it.

    Then it is no reason to keep the node or link: they may be gone for good, and it would never be.
    """
    return service.removed and snapshot.connected.isdisjoint(nodes)


def _refuse_use(resource: str, users: list[str]) -> None:
    if users:
        shown = ", ".join(sorted(users)[:10])
        raise Precondition(
            "IN_USE",
            f"{resource} is used by {shown}; delete or move these first",
            {"resource": resource, "used_by": shown},
        )


def update_administration(snapshot: Snapshot, request: UpdateAdministration) -> Changes:
    """Return the changes that set the administrative state of a node or link.

    Raises:
        NotFound: There is no such resource.
    """
    if request.collection == "nodes" and request.key in snapshot.nodes:
        return put(_administered(snapshot.nodes[request.key], request.admin_enabled, request.maintenance))
    if request.collection == "links" and request.key in snapshot.links:
        return put(_administered(snapshot.links[request.key], request.admin_enabled, request.maintenance))
    raise NotFound(f"{request.collection}/{request.key}")


def _administered(document: _Administered, enabled: bool | None, maintenance: bool | None) -> _Administered:
    return replace(
        document,
        admin_enabled=document.admin_enabled if enabled is None else enabled,
        maintenance=document.maintenance if maintenance is None else maintenance,
    )


def apply_topology(snapshot: Snapshot, request: ApplyTopology) -> tuple[Changes, tuple[tuple[str, str], ...]]:
    """Return the changes that make nodes and links what is given, and a list of (resource name, action).

    Administrative states are the operator's and stay, and so do links that entanglement paths make: each is deleted
    with its path.

    Raises:
        InvalidValue: A link's end does not exist.
        Precondition: IN_USE: what would go or change is used; OVER_RESERVED: a link would carry less than it promises.
    """
    wanted_nodes = {name: _keeping_state(node, snapshot.nodes.get(name)) for name, node in request.nodes.items()}
    wanted_links = {name: _keeping_state(link, snapshot.links.get(name)) for name, link in request.links.items()}
    made = {name: link for name, link in snapshot.links.items() if link.path}
    if taken := sorted(made.keys() & wanted_links.keys()):
        path = f"entanglementPaths/{made[taken[0]].path}"
        raise InvalidValue(f"links/{taken[0]}", ("name", f"is that of the key link of {path}; take another"))
    wanted_links |= made
    _check_links(wanted_nodes, wanted_links, only=request.links)
    actions: list[tuple[str, str]] = []
    changes: list[Changes] = []
    for name in sorted(snapshot.links.keys() - wanted_links.keys()):
        changes.append(delete_link(snapshot, name))
        actions.append((f"links/{name}", "delete"))
    for name in sorted(snapshot.nodes.keys() - wanted_nodes.keys()):
        kept = [f"links/{link.name}" for link in made.values() if name in link.nodes]
        _refuse_use(f"nodes/{name}", _ending_at(snapshot, name) + kept)
        changes.append(_without_node(snapshot, name))
        actions.append((f"nodes/{name}", "delete"))
    for name, node in sorted(wanted_nodes.items()):
        if node != snapshot.nodes.get(name):
            changes.append(put(node))
            actions.append((f"nodes/{name}", "update" if name in snapshot.nodes else "create"))
    for name, link in sorted(wanted_links.items()):
        known = snapshot.links.get(name)
        if link != known:
            if known is not None and _is_another(known, link):
                _refuse_use(f"links/{name}", _services_on(snapshot, name))
                changes.append(without_condition(snapshot, name))  # what was said of it, other ends said
            elif known is not None and _told_of_pairs(known) != _told_of_pairs(link):
                _refuse_use(f"links/{name}", _services_on(snapshot, name))
            changes.append(put(link))
            actions.append((f"links/{name}", "update" if known else "create"))
    _refuse_less(snapshot, wanted_links, wanted_nodes)
    network = uuid.uuid5(NETWORKS, request.network_name) if request.network_name else None
    if network is not None and network != snapshot.network:
        changes.append(Changes(network=network))
    return joined(changes), tuple(sorted(actions))


def _is_another(known: Link, link: Link) -> bool:
    """Tell whether what runs on a link could not stay: it leads elsewhere, or what plans name of it is not there."""
    return (known.ends, known.kind, _run_by(known.pairs)) != (link.ends, link.kind, _run_by(link.pairs))


def _run_by(model: PairModel | None) -> tuple[object, ...]:
    return () if model is None else (model.regime, len(model.options))


def _refuse_less(snapshot: Snapshot, wanted: Mapping[str, Link], nodes: Mapping[str, Node]) -> None:
    """Refuse links and nodes that would lack more of what is promised on them than they do already."""
    reserved = snapshot.reserved
    if reserved is None:
        reserved = reserved_by(snapshot.services())
    before = over_reserved(snapshot.links, snapshot.conditions, reserved, nodes=snapshot.nodes)
    after = over_reserved(wanted, snapshot.conditions, reserved, nodes=nodes)
    worse = sorted(name for name, missing in after.items() if missing > before.get(name, 0))
    if worse:
        shown = ", ".join(name if "/" in name else f"links/{name}" for name in worse)
        raise Precondition(
            "OVER_RESERVED",
            f"{shown} would carry less than is promised on it; delete or move services first",
            {"links": shown},
        )


def _keeping_state(document: _Administered, known: _Administered | None) -> _Administered:
    if known is None:
        return document
    return _administered(document, known.admin_enabled, known.maintenance)
