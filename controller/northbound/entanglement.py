"""EntanglementService: translates; every decision is the desk's."""

import uuid
from collections.abc import AsyncIterator
from typing import Final

from controller.domain.entanglement_path import EntanglementPath, PairUse
from controller.domain.refusals import NotFound
from controller.domain.service import ServiceState, service_key
from controller.northbound.asking import Context, caller_of, changed, create, delete, found, id_in, new_id
from controller.northbound.listing import Fields, either, one_of, page_of, truth
from controller.northbound.proposing import ProposingDesk
from controller.northbound.route_search import RouteSearch
from controller.northbound.views import Views
from controller.northbound.watch import Note, NoteKind, wanted, watch
from controller.service.desk import Desk
from controller.service.requests import RedeployPath, UpdatePath
from controller.wire.northbound_entanglement_path import path_history_to_pb
from controller.wire.northbound_path_wishes import pair_demand_from_pb, path_change_from_pb, path_from_pb
from controller.wire.northbound_values import Mistakes
from qinet.northbound.v1 import entanglement_service_pb2 as pb
from qinet.northbound.v1 import entanglement_service_pb2_grpc as rpc

_COLLECTION: Final = "entanglementPaths"


class EntanglementService(rpc.EntanglementServiceServicer):
    """Entanglement paths. Refusals are raised; the guard makes statuses of them."""

    def __init__(self, desk: Desk, views: Views, search: RouteSearch, *, heartbeat_s: float) -> None:
        self._desk = desk
        self._views = views
        self._search = search
        self._proposing = ProposingDesk(desk, search)
        self._heartbeat_s = heartbeat_s

    async def CreateEntanglementPath(
        self, request: pb.CreateEntanglementPathRequest, context: Context
    ) -> pb.CreateEntanglementPathResponse:
        """Create an entanglement path."""
        # A repeat under a request_id gets what the first call made: its own fresh id is then never used.
        path_id = request.entanglement_path_id or f"p-{uuid.uuid4().hex[:12]}"
        named = bool(request.entanglement_path_id)
        path = path_from_pb(new_id(path_id, "entanglement_path_id"), request.entanglement_path, named=named)
        result = await create(self._proposing, path, request, context, named=named)
        assert isinstance(result.document, EntanglementPath)
        return pb.CreateEntanglementPathResponse(
            entanglement_path=self._views.path(self._desk.published, result.document), revision=result.revision
        )

    async def GetEntanglementPath(
        self, request: pb.GetEntanglementPathRequest, context: Context
    ) -> pb.GetEntanglementPathResponse:
        """Return an entanglement path."""
        published = self._desk.published
        path = found(published, _COLLECTION, request.name)
        return pb.GetEntanglementPathResponse(entanglement_path=self._views.path(published, path))

    async def ListEntanglementPaths(
        self, request: pb.ListEntanglementPathsRequest, context: Context
    ) -> pb.ListEntanglementPathsResponse:
        """List entanglement paths."""
        published = self._desk.published
        page = page_of(
            published.snapshot.paths,
            _PATH_FIELDS,
            page_size=request.page_size,
            page_token=request.page_token,
            filter_text=request.filter,
        )
        return pb.ListEntanglementPathsResponse(
            entanglement_paths=[self._views.path(published, path) for path in page.items],
            next_page_token=page.next_token,
        )

    async def UpdateEntanglementPath(
        self, request: pb.UpdateEntanglementPathRequest, context: Context
    ) -> pb.UpdateEntanglementPathResponse:
        """Change an entanglement path in place."""
        name = id_in(_COLLECTION, request.entanglement_path.name)
        change = path_change_from_pb(
            request.entanglement_path, request.update_mask.paths, Mistakes(f"{_COLLECTION}/{name}")
        )
        result = await changed(
            self._proposing,
            UpdatePath(
                path=name,
                demand=change.demand,
                admin_enabled=change.admin_enabled,
                accept_blocked=change.accept_blocked,
                etag=request.entanglement_path.etag,
                caller=caller_of(context),
                validate_only=request.validate_only,
            ),
        )
        assert isinstance(result.document, EntanglementPath)
        return pb.UpdateEntanglementPathResponse(
            entanglement_path=self._views.path(self._desk.published, result.document), revision=result.revision
        )

    async def DeleteEntanglementPath(
        self, request: pb.DeleteEntanglementPathRequest, context: Context
    ) -> pb.DeleteEntanglementPathResponse:
        """Remove an entanglement path."""
        result = await delete(self._desk, _COLLECTION, request, context)
        told = pb.DeleteEntanglementPathResponse(revision=result.revision)
        published = self._desk.published
        if isinstance(result.document, EntanglementPath) and result.document.name in published.snapshot.paths:
            told.entanglement_path.CopyFrom(self._views.path(published, result.document))
        return told

    async def RedeployEntanglementPath(
        self, request: pb.RedeployEntanglementPathRequest, context: Context
    ) -> pb.RedeployEntanglementPathResponse:
        """Compute a path's route and plan anew, and move it there."""
        asked = RedeployPath(
            path=id_in(_COLLECTION, request.name),
            etag=request.etag,
            caller=caller_of(context),
            validate_only=request.validate_only,
        )
        result = await changed(self._proposing, asked)
        assert isinstance(result.document, EntanglementPath)
        return pb.RedeployEntanglementPathResponse(
            entanglement_path=self._views.path(self._desk.published, result.document), revision=result.revision
        )

    async def GetEntanglementPathHistory(
        self, request: pb.GetEntanglementPathHistoryRequest, context: Context
    ) -> pb.GetEntanglementPathHistoryResponse:
        """Tell what became of a path, newest first."""
        name = id_in(_COLLECTION, request.name)
        snapshot = self._desk.published.snapshot
        history = snapshot.histories.get(service_key("paths", name))
        if history is None and name not in snapshot.paths:
            raise NotFound(f"{_COLLECTION}/{name}")
        lines = {f"{change.revision:020}": change for change in (history.changes if history else ())}
        page = page_of(lines, {}, page_size=request.page_size, page_token=request.page_token, descending=True)
        return pb.GetEntanglementPathHistoryResponse(
            entries=[path_history_to_pb(change) for change in page.items], next_page_token=page.next_token
        )

    async def WatchEntanglementPaths(
        self, request: pb.WatchEntanglementPathsRequest, context: Context
    ) -> AsyncIterator[pb.WatchEntanglementPathsResponse]:
        """Tell committed changes of entanglement paths."""
        notes = watch(self._desk, request.resume_revision, wanted(["paths"]), heartbeat_s=self._heartbeat_s)
        async for note in notes:
            yield self._told(note)

    def _told(self, note: Note) -> pb.WatchEntanglementPathsResponse:
        told = pb.WatchEntanglementPathsResponse(
            kind=pb.WatchEntanglementPathsResponse.Kind.Value(f"KIND_{note.kind.name}"),
            resume_revision=note.resume_revision,
        )
        if note.kind is NoteKind.DELETED:
            told.deleted = f"{_COLLECTION}/{note.key}"
        elif isinstance(note.document, EntanglementPath):
            told.entanglement_path.CopyFrom(self._views.path(note.published, note.document))
        return told

    async def ComputeEntanglementRoute(
        self, request: pb.ComputeEntanglementRouteRequest, context: Context
    ) -> pb.ComputeEntanglementRouteResponse:
        """Compute the best route and plan of a demand; nothing changes."""
        mistakes = Mistakes()
        demand = mistakes.built(pair_demand_from_pb(request.entanglement_path, mistakes))
        return await self._search.pair_answer(self._desk.published, demand)


_PATH_FIELDS: Final[Fields[EntanglementPath]] = {
    "name": lambda path: either(_COLLECTION, path.name),
    "state": one_of(ServiceState, lambda path: path.state),
    "source": lambda path: either("nodes", path.demand.source),
    "target": lambda path: either("nodes", path.demand.target),
    "use": one_of(PairUse, lambda path: path.demand.use),
    "priority": lambda path: (str(path.demand.priority),),
    "purpose_id": lambda path: (str(path.demand.purpose),),
    "key_link": lambda path: either("links", path.demand.key_link),
    "created_by": lambda path: (path.created_by.removeprefix("qinet://"),),
    "admin_enabled": truth(lambda path: path.admin_enabled),
    "link": lambda path: {text for link in path.told_links() for text in either("links", link)},
    "node": lambda path: {text for node in path.told_nodes() for text in either("nodes", node)},
}
