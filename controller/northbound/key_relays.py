"""KeyRelayService: translates; every decision is the desk's."""

import uuid
from collections.abc import AsyncIterator
from typing import Final

from controller.domain.key_relay import KeyRelay, Protection, RelayState
from controller.domain.link import LinkStatus
from controller.domain.refusals import NotFound
from controller.northbound.asking import Context, caller_of, changed, create, delete, found, id_in, new_id
from controller.northbound.listing import Fields, either, one_of, page_of, truth
from controller.northbound.route_search import RouteSearch
from controller.northbound.views import Views
from controller.northbound.watch import Note, NoteKind, wanted, watch
from controller.service.desk import Desk
from controller.service.published import Published
from controller.service.requests import RedeployRelay, UpdateRelay
from controller.wire.northbound_key_relay import history_to_pb, move_to_pb
from controller.wire.northbound_relay_wishes import change_from_pb, demand_from_pb, relay_from_pb
from controller.wire.northbound_values import Mistakes
from qinet.northbound.v1 import key_relay_service_pb2 as pb
from qinet.northbound.v1 import key_relay_service_pb2_grpc as rpc

_MOST_CANDIDATES: Final = 32


class KeyRelayService(rpc.KeyRelayServiceServicer):
    """Key relays. Refusals are raised; the guard makes statuses of them."""

    def __init__(self, desk: Desk, views: Views, search: RouteSearch, *, heartbeat_s: float) -> None:
        self._desk = desk
        self._views = views
        self._search = search
        self._heartbeat_s = heartbeat_s

    async def CreateKeyRelay(self, request: pb.CreateKeyRelayRequest, context: Context) -> pb.CreateKeyRelayResponse:
        """Create a key relay."""
        # A repeat under a request_id gets what the first call made: its own fresh id is then never used.
        relay_id = request.key_relay_id or f"r-{uuid.uuid4().hex[:12]}"
        named = bool(request.key_relay_id)
        relay = relay_from_pb(new_id(relay_id, "key_relay_id"), request.key_relay, named=named)
        result = await create(self._desk, relay, request, context, named=named)
        assert isinstance(result.document, KeyRelay)
        return pb.CreateKeyRelayResponse(
            key_relay=self._views.relay(self._desk.published, result.document),
            revision=result.revision,
            displaced=[move_to_pb(move) for move in result.displaced],
        )

    async def GetKeyRelay(self, request: pb.GetKeyRelayRequest, context: Context) -> pb.GetKeyRelayResponse:
        """Return a key relay."""
        published = self._desk.published
        relay = found(published, "keyRelays", request.name)
        return pb.GetKeyRelayResponse(key_relay=self._views.relay(published, relay))

    async def ListKeyRelays(self, request: pb.ListKeyRelaysRequest, context: Context) -> pb.ListKeyRelaysResponse:
        """List key relays."""
        published = self._desk.published
        page = page_of(
            published.snapshot.relays,
            _relay_fields(published, self._views),
            page_size=request.page_size,
            page_token=request.page_token,
            filter_text=request.filter,
        )
        return pb.ListKeyRelaysResponse(
            key_relays=[self._views.relay(published, relay) for relay in page.items], next_page_token=page.next_token
        )

    async def UpdateKeyRelay(self, request: pb.UpdateKeyRelayRequest, context: Context) -> pb.UpdateKeyRelayResponse:
        """Change a key relay in place."""
        name = id_in("keyRelays", request.key_relay.name)
        change = change_from_pb(request.key_relay, request.update_mask.paths, Mistakes(f"keyRelays/{name}"))
        result = await changed(
            self._desk,
            UpdateRelay(
                relay=name,
                demand=change.demand,
                applications=change.applications,
                admin_enabled=change.admin_enabled,
                accept_blocked=change.accept_blocked,
                etag=request.key_relay.etag,
                caller=caller_of(context),
                validate_only=request.validate_only,
            ),
        )
        assert isinstance(result.document, KeyRelay)
        return pb.UpdateKeyRelayResponse(
            key_relay=self._views.relay(self._desk.published, result.document), revision=result.revision
        )

    async def DeleteKeyRelay(self, request: pb.DeleteKeyRelayRequest, context: Context) -> pb.DeleteKeyRelayResponse:
        """Remove a key relay."""
        result = await delete(self._desk, "keyRelays", request, context)
        told = pb.DeleteKeyRelayResponse(revision=result.revision)
        published = self._desk.published
        if isinstance(result.document, KeyRelay) and result.document.name in published.snapshot.relays:
            told.key_relay.CopyFrom(self._views.relay(published, result.document))
        return told

    async def RedeployKeyRelay(
        self, request: pb.RedeployKeyRelayRequest, context: Context
    ) -> pb.RedeployKeyRelayResponse:
        """Compute a relay's routes anew, and move it there."""
        asked = RedeployRelay(
            relay=id_in("keyRelays", request.name),
            etag=request.etag,
            caller=caller_of(context),
            validate_only=request.validate_only,
        )
        result = await changed(self._desk, asked)
        assert isinstance(result.document, KeyRelay)
        return pb.RedeployKeyRelayResponse(
            key_relay=self._views.relay(self._desk.published, result.document), revision=result.revision
        )

    async def GetKeyRelayHistory(
        self, request: pb.GetKeyRelayHistoryRequest, context: Context
    ) -> pb.GetKeyRelayHistoryResponse:
        """Tell what became of a relay, newest first."""
        name = id_in("keyRelays", request.name)
        snapshot = self._desk.published.snapshot
        history = snapshot.histories.get(name)
        if history is None and name not in snapshot.relays:
            raise NotFound(f"keyRelays/{name}")
        lines = {f"{change.revision:020}": change for change in (history.changes if history else ())}
        page = page_of(lines, {}, page_size=request.page_size, page_token=request.page_token, descending=True)
        return pb.GetKeyRelayHistoryResponse(
            entries=[history_to_pb(change) for change in page.items], next_page_token=page.next_token
        )

    async def WatchKeyRelays(
        self, request: pb.WatchKeyRelaysRequest, context: Context
    ) -> AsyncIterator[pb.WatchKeyRelaysResponse]:
        """Tell committed changes of key relays."""
        notes = watch(self._desk, request.resume_revision, wanted(["relays"]), heartbeat_s=self._heartbeat_s)
        async for note in notes:
            yield self._told(note)

    def _told(self, note: Note) -> pb.WatchKeyRelaysResponse:
        told = pb.WatchKeyRelaysResponse(
            kind=pb.WatchKeyRelaysResponse.Kind.Value(f"KIND_{note.kind.name}"), resume_revision=note.resume_revision
        )
        if note.kind is NoteKind.DELETED:
            told.deleted = f"keyRelays/{note.key}"
        elif isinstance(note.document, KeyRelay):
            told.key_relay.CopyFrom(self._views.relay(note.published, note.document))
        return told

    async def ComputeRoutes(self, request: pb.ComputeRoutesRequest, context: Context) -> pb.ComputeRoutesResponse:
        """Compute candidate routes; nothing changes."""
        mistakes = Mistakes()
        demand = mistakes.built(demand_from_pb(request.key_relay, mistakes))
        limit = min(request.max_candidates or 1, _MOST_CANDIDATES)
        return await self._search.answer(self._desk.published, demand, limit)


def _relay_fields(published: Published, views: Views) -> Fields[KeyRelay]:
    return {
        "name": lambda relay: either("keyRelays", relay.name),
        "state": one_of(RelayState, lambda relay: relay.state),
        "source": lambda relay: either("nodes", relay.demand.source),
        "target": lambda relay: either("nodes", relay.demand.target),
        "application": lambda relay: {
            text for application in relay.applications for text in either("applications", application)
        },
        "protection": one_of(Protection, lambda relay: relay.demand.protection),
        "priority": lambda relay: (str(relay.demand.priority),),
        "shares": lambda relay: (str(relay.demand.shares),),
        "created_by": lambda relay: (relay.created_by.removeprefix("qinet://"),),
        "admin_enabled": truth(lambda relay: relay.admin_enabled),
        "link_status": one_of(LinkStatus, lambda relay: views.relay_status(published, relay)),
        "link": lambda relay: {text for link in relay.told_links() for text in either("links", link)},
        "node": lambda relay: {text for node in relay.told_nodes() for text in either("nodes", node)},
    }
