"""ApplicationService: translates; every decision is the desk's."""

from collections.abc import AsyncIterator

from controller.domain.application import Application, Sae
from controller.northbound.asking import Context, caller_of, changed, create, delete, found, id_in, new_id
from controller.northbound.listing import Fields, either, page_of
from controller.northbound.views import Views, relays_of
from controller.northbound.watch import Note, NoteKind, wanted, watch
from controller.service.desk import Desk
from controller.service.published import Published
from controller.service.requests import UpdateApplication
from controller.wire.northbound_application import application_from_pb, change_from_pb, sae_from_pb
from controller.wire.northbound_values import Mistakes
from qinet.northbound.v1 import application_service_pb2 as pb
from qinet.northbound.v1 import application_service_pb2_grpc as rpc


class ApplicationService(rpc.ApplicationServiceServicer):
    """Applications and SAEs. Refusals are raised; the guard makes statuses of them."""

    def __init__(self, desk: Desk, views: Views, *, heartbeat_s: float) -> None:
        self._desk = desk
        self._views = views
        self._heartbeat_s = heartbeat_s

    async def CreateApplication(
        self, request: pb.CreateApplicationRequest, context: Context
    ) -> pb.CreateApplicationResponse:
        """Create an application."""
        application = application_from_pb(new_id(request.application_id, "application_id"), request.application)
        result = await create(self._desk, application, request, context)
        assert isinstance(result.document, Application)
        return pb.CreateApplicationResponse(
            application=self._views.application(self._desk.published, result.document), revision=result.revision
        )

    async def GetApplication(self, request: pb.GetApplicationRequest, context: Context) -> pb.GetApplicationResponse:
        """Return an application."""
        published = self._desk.published
        application = found(published, "applications", request.name)
        return pb.GetApplicationResponse(application=self._views.application(published, application))

    async def ListApplications(
        self, request: pb.ListApplicationsRequest, context: Context
    ) -> pb.ListApplicationsResponse:
        """List applications."""
        published = self._desk.published
        page = page_of(
            published.snapshot.applications,
            _application_fields(published),
            page_size=request.page_size,
            page_token=request.page_token,
            filter_text=request.filter,
        )
        return pb.ListApplicationsResponse(
            applications=[self._views.application(published, application) for application in page.items],
            next_page_token=page.next_token,
        )

    async def UpdateApplication(
        self, request: pb.UpdateApplicationRequest, context: Context
    ) -> pb.UpdateApplicationResponse:
        """Change an application in place."""
        name = id_in("applications", request.application.name)
        change = change_from_pb(request.application, request.update_mask.paths, Mistakes(f"applications/{name}"))
        result = await changed(
            self._desk,
            UpdateApplication(
                application=name,
                qos=change.qos,
                key_size_bit=change.key_size_bit,
                client_saes=change.client_saes,
                etag=request.application.etag,
                caller=caller_of(context),
                validate_only=request.validate_only,
            ),
        )
        assert isinstance(result.document, Application)
        return pb.UpdateApplicationResponse(
            application=self._views.application(self._desk.published, result.document), revision=result.revision
        )

    async def DeleteApplication(
        self, request: pb.DeleteApplicationRequest, context: Context
    ) -> pb.DeleteApplicationResponse:
        """Delete an application."""
        result = await delete(self._desk, "applications", request, context)
        return pb.DeleteApplicationResponse(revision=result.revision)

    async def WatchApplications(
        self, request: pb.WatchApplicationsRequest, context: Context
    ) -> AsyncIterator[pb.WatchApplicationsResponse]:
        """Tell committed changes of applications and SAEs."""
        collections = wanted(["saes", "applications"])
        notes = watch(self._desk, request.resume_revision, collections, heartbeat_s=self._heartbeat_s)
        async for note in notes:
            yield self._told(note)

    def _told(self, note: Note) -> pb.WatchApplicationsResponse:
        told = pb.WatchApplicationsResponse(
            kind=pb.WatchApplicationsResponse.Kind.Value(f"KIND_{note.kind.name}"),
            resume_revision=note.resume_revision,
        )
        if note.kind is NoteKind.DELETED:
            told.deleted = f"{note.collection}/{note.key}"
        elif isinstance(note.document, Application):
            told.application.CopyFrom(self._views.application(note.published, note.document))
        elif isinstance(note.document, Sae):
            told.sae.CopyFrom(self._views.sae(note.published, note.document))
        return told

    async def CreateSae(self, request: pb.CreateSaeRequest, context: Context) -> pb.CreateSaeResponse:
        """Add an SAE to the directory."""
        result = await create(self._desk, sae_from_pb(request.sae_id, request.sae), request, context)
        assert isinstance(result.document, Sae)
        return pb.CreateSaeResponse(
            sae=self._views.sae(self._desk.published, result.document), revision=result.revision
        )

    async def GetSae(self, request: pb.GetSaeRequest, context: Context) -> pb.GetSaeResponse:
        """Return an SAE."""
        published = self._desk.published
        return pb.GetSaeResponse(sae=self._views.sae(published, found(published, "saes", request.name)))

    async def ListSaes(self, request: pb.ListSaesRequest, context: Context) -> pb.ListSaesResponse:
        """List SAEs."""
        published = self._desk.published
        fields: Fields[Sae] = {
            "name": lambda sae: either("saes", sae.id),
            "node": lambda sae: either("nodes", sae.node),
        }
        page = page_of(
            published.snapshot.saes,
            fields,
            page_size=request.page_size,
            page_token=request.page_token,
            filter_text=request.filter,
        )
        return pb.ListSaesResponse(
            saes=[self._views.sae(published, sae) for sae in page.items], next_page_token=page.next_token
        )

    async def DeleteSae(self, request: pb.DeleteSaeRequest, context: Context) -> pb.DeleteSaeResponse:
        """Take an SAE out of the directory."""
        result = await delete(self._desk, "saes", request, context)
        return pb.DeleteSaeResponse(revision=result.revision)


def _application_fields(published: Published) -> Fields[Application]:
    return {
        "name": lambda application: either("applications", application.name),
        "server_sae": lambda application: either("saes", application.server_sae),
        "sae": lambda application: {text for sae in application.saes for text in either("saes", sae)},
        "key_relay": lambda application: {
            text for relay in relays_of(published, application) for text in either("keyRelays", relay)
        },
    }
