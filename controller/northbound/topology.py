"""TopologyService: translates; every decision is the desk's."""

from collections.abc import AsyncIterator, Iterable
from dataclasses import fields
from typing import Any, Final

from controller.domain.link import Establishment, Link, LinkKind, LinkStatus, link_status
from controller.domain.names import is_label
from controller.domain.node import Node
from controller.northbound.asking import (
    Context,
    administer,
    as_link,
    as_node,
    caller_of,
    create,
    delete,
    found,
    new_id,
)
from controller.northbound.listing import Fields, either, one_of, page_of, truth
from controller.northbound.views import Views
from controller.northbound.watch import Note, NoteKind, watch
from controller.service.desk import Desk
from controller.service.published import Published
from controller.service.requests import ApplyTopology
from controller.wire.northbound_link import FIGURE_NAMES, link_from_pb
from controller.wire.northbound_node import node_from_pb
from controller.wire.northbound_values import Mistakes
from qinet.northbound.v1 import topology_service_pb2 as pb
from qinet.northbound.v1 import topology_service_pb2_grpc as rpc

_WATCHED: Final = {"nodes": "nodes", "links": "links", "conditions": "links"}
_ACTIONS: Final = {
    "create": pb.TopologyAction.KIND_CREATE,
    "update": pb.TopologyAction.KIND_UPDATE,
    "delete": pb.TopologyAction.KIND_DELETE,
}


class TopologyService(rpc.TopologyServiceServicer):
    """Nodes and links. Refusals are raised; the guard makes statuses of them."""

    def __init__(self, desk: Desk, views: Views, *, heartbeat_s: float) -> None:
        self._desk = desk
        self._views = views
        self._heartbeat_s = heartbeat_s

    async def CreateNode(self, request: pb.CreateNodeRequest, context: Context) -> pb.CreateNodeResponse:
        """Create a node."""
        node = node_from_pb(new_id(request.node_id, "node_id"), request.node)
        result = await create(self._desk, node, request, context)
        return pb.CreateNodeResponse(
            node=self._views.node(self._desk.published, as_node(result)), revision=result.revision
        )

    async def GetNode(self, request: pb.GetNodeRequest, context: Context) -> pb.GetNodeResponse:
        """Return a node."""
        published = self._desk.published
        return pb.GetNodeResponse(node=self._views.node(published, found(published, "nodes", request.name)))

    async def ListNodes(self, request: pb.ListNodesRequest, context: Context) -> pb.ListNodesResponse:
        """List nodes."""
        published = self._desk.published
        page = page_of(
            published.snapshot.nodes,
            _node_fields(published),
            page_size=request.page_size,
            page_token=request.page_token,
            filter_text=request.filter,
        )
        return pb.ListNodesResponse(
            nodes=[self._views.node(published, node) for node in page.items], next_page_token=page.next_token
        )

    async def UpdateNode(self, request: pb.UpdateNodeRequest, context: Context) -> pb.UpdateNodeResponse:
        """Enable or disable a node, or put it into maintenance."""
        result = await administer(self._desk, "nodes", request.node, request, context)
        return pb.UpdateNodeResponse(
            node=self._views.node(self._desk.published, as_node(result)), revision=result.revision
        )

    async def DeleteNode(self, request: pb.DeleteNodeRequest, context: Context) -> pb.DeleteNodeResponse:
        """Delete a node."""
        result = await delete(self._desk, "nodes", request, context)
        return pb.DeleteNodeResponse(revision=result.revision)

    async def CreateLink(self, request: pb.CreateLinkRequest, context: Context) -> pb.CreateLinkResponse:
        """Create a link."""
        link = link_from_pb(new_id(request.link_id, "link_id"), request.link)
        result = await create(self._desk, link, request, context)
        return pb.CreateLinkResponse(
            link=self._views.link(self._desk.published, as_link(result)), revision=result.revision
        )

    async def GetLink(self, request: pb.GetLinkRequest, context: Context) -> pb.GetLinkResponse:
        """Return a link."""
        published = self._desk.published
        return pb.GetLinkResponse(link=self._views.link(published, found(published, "links", request.name)))

    async def ListLinks(self, request: pb.ListLinksRequest, context: Context) -> pb.ListLinksResponse:
        """List links."""
        published = self._desk.published
        page = page_of(
            published.snapshot.links,
            _link_fields(published),
            page_size=request.page_size,
            page_token=request.page_token,
            filter_text=request.filter,
        )
        return pb.ListLinksResponse(
            links=[self._views.link(published, link) for link in page.items], next_page_token=page.next_token
        )

    async def UpdateLink(self, request: pb.UpdateLinkRequest, context: Context) -> pb.UpdateLinkResponse:
        """Enable or disable a link, or put it into maintenance."""
        result = await administer(self._desk, "links", request.link, request, context)
        return pb.UpdateLinkResponse(
            link=self._views.link(self._desk.published, as_link(result)), revision=result.revision
        )

    async def DeleteLink(self, request: pb.DeleteLinkRequest, context: Context) -> pb.DeleteLinkResponse:
        """Delete a link."""
        result = await delete(self._desk, "links", request, context)
        return pb.DeleteLinkResponse(revision=result.revision)

    async def WatchTopology(
        self, request: pb.WatchTopologyRequest, context: Context
    ) -> AsyncIterator[pb.WatchTopologyResponse]:
        """Tell committed changes of nodes and links."""
        notes = watch(self._desk, request.resume_revision, _WATCHED, heartbeat_s=self._heartbeat_s)
        async for note in notes:
            yield self._told(note)

    def _told(self, note: Note) -> pb.WatchTopologyResponse:
        told = pb.WatchTopologyResponse(
            kind=pb.WatchTopologyResponse.Kind.Value(f"KIND_{note.kind.name}"), resume_revision=note.resume_revision
        )
        if note.kind is NoteKind.DELETED:
            told.deleted = f"{note.collection}/{note.key}"
        elif isinstance(note.document, Node):
            told.node.CopyFrom(self._views.node(note.published, note.document))
        elif isinstance(note.document, Link):
            told.link.CopyFrom(self._views.link(note.published, note.document))
        return told

    async def ApplyTopology(self, request: pb.ApplyTopologyRequest, context: Context) -> pb.ApplyTopologyResponse:
        """Make the topology what the request says."""
        mistakes = Mistakes()
        if request.network_name and not is_label(request.network_name):
            mistakes.new_label(request.network_name, "network_name")
        nodes = _named(request.nodes, "nodes", node_from_pb, mistakes)
        links = _named(request.links, "links", link_from_pb, mistakes)
        mistakes.settle()
        before = self._desk.published.snapshot
        result = await self._desk.submit(
            ApplyTopology(
                nodes=nodes,
                links=links,
                network_name=request.network_name,
                caller=caller_of(context),
                validate_only=request.validate_only,
            )
        )
        known: dict[str, Any] = {f"nodes/{name}": node for name, node in before.nodes.items()}
        known |= {f"links/{name}": link for name, link in before.links.items()}
        asked: dict[str, Any] = {f"nodes/{name}": node for name, node in nodes.items()}
        asked |= {f"links/{name}": link for name, link in links.items()}
        actions = [
            pb.TopologyAction(
                kind=_ACTIONS[action],
                resource=resource,
                fields=_differing(known.get(resource), asked[resource]) if action == "update" else (),
            )
            for resource, action in result.actions
        ]
        counts = {kind: sum(action == kind for _, action in result.actions) for kind in _ACTIONS}
        return pb.ApplyTopologyResponse(
            actions=actions,
            created=counts["create"],
            updated=counts["update"],
            deleted=counts["delete"],
            unchanged=len(asked) - counts["create"] - counts["update"],
            revision=0 if request.validate_only or not result.actions else result.revision,
        )


def _named(resources: Iterable[Any], collection: str, read: Any, mistakes: Mistakes) -> dict[str, Any]:
    """Return resources of a request by id, every mistake noted."""
    named: dict[str, Any] = {}
    for index, resource in enumerate(resources):
        field = f"{collection}[{index}]"
        name = mistakes.id(collection, resource.name[:300], f"{field}.name")
        if not name:
            continue
        if name in named:
            mistakes.add(f"{field}.name", f"{resource.name} is named twice")
        with mistakes.under(""):
            named[name] = read(name, resource, field=field)
    return named


def _differing(known: Node | Link | None, asked: Node | Link) -> list[str]:
    """Return the API's names of the fields that differ; the administrative ones stay, so they never do."""
    if known is None:
        return []
    return [
        FIGURE_NAMES.get(spec.name, spec.name)
        for spec in fields(asked)
        if spec.name not in ("admin_enabled", "maintenance") and getattr(known, spec.name) != getattr(asked, spec.name)
    ]


def _node_fields(published: Published) -> Fields[Node]:
    return {
        "name": lambda node: either("nodes", node.name),
        "location": lambda node: (node.location,),
        "trust_domain": lambda node: (node.trust_domain,),
        "admin_enabled": truth(lambda node: node.admin_enabled),
        "maintenance": truth(lambda node: node.maintenance),
        "connected": truth(lambda node: node.name in published.snapshot.connected),
    }


def _link_fields(published: Published) -> Fields[Link]:
    snapshot = published.snapshot
    return {
        "name": lambda link: either("links", link.name),
        "kind": one_of(LinkKind, lambda link: link.kind),
        "establishment": one_of(Establishment, lambda link: link.establishment),
        "status": one_of(LinkStatus, lambda link: link_status(link, snapshot.condition(link.name))),
        "stale": truth(snapshot.stale),
        "admin_enabled": truth(lambda link: link.admin_enabled),
        "maintenance": truth(lambda link: link.maintenance),
        "node": lambda link: (*either("nodes", link.nodes[0]), *either("nodes", link.nodes[1])),
    }
