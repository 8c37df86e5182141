"""OperationsService: what an operator looks at."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, replace
from typing import Final

from controller.domain.alarm import CONTROLLER, Alarm, Severity
from controller.domain.refusals import NotFound
from controller.domain.snapshot import Freeze
from controller.northbound.asking import Context, caller_of, changed
from controller.northbound.listing import Fields, either, one_of, page_of, truth
from controller.northbound.route_search import RouteSearch
from controller.northbound.views import Views, alarm_name
from controller.ports.clock import Clock
from controller.service.desk import Desk
from controller.service.maintenance_desk import Leaving
from controller.service.published import Published
from controller.service.requests import Drain, SetFreeze
from controller.service.what_if import Failure
from controller.wire.northbound_key_relay import STATE, move_to_pb
from controller.wire.northbound_values import Mistakes, duration_ms, timestamp_ms
from qinet.northbound.v1 import operations_service_pb2 as pb
from qinet.northbound.v1 import operations_service_pb2_grpc as rpc
from qinet.types.v1 import types_pb2

_MOST_FAILED: Final = 256
_DEFAULT_INTERVAL_NS: Final = 10**9
_INTERVAL_NS: Final = (10**8, 3600 * 10**9)


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllerFacts:
    """What a controller says of itself.

    Attributes:
        name: As its certificate has it.
        address: host:port of its northbound, as others reach it.
        version: Of the software.
        config_hash: Of the configuration in force, hexadecimal digits.
        start_ms: When it started; wall clock, milliseconds since 1970.
    """

    name: str
    address: str = ""
    version: str = ""
    config_hash: str = ""
    start_ms: int = 0


class OperationsService(rpc.OperationsServiceServicer):
    """Alarms, agents, status, measurements. Refusals are raised; the guard makes statuses of them."""

    def __init__(self, desk: Desk, views: Views, search: RouteSearch, clock: Clock, facts: ControllerFacts) -> None:
        self._desk = desk
        self._search = search
        self._views = views
        self._clock = clock
        self._facts = facts

    def listens_on(self, port: int) -> None:
        """Tell the port that was picked, where the address left it open with port 0."""
        host, _, asked = self._facts.address.rpartition(":")
        if asked == "0":
            self._facts = replace(self._facts, address=f"{host}:{port}")

    def configured(self, config_hash: str) -> None:
        """Tell which configuration is in force from now on."""
        self._facts = replace(self._facts, config_hash=config_hash)

    async def ListAlarms(self, request: pb.ListAlarmsRequest, context: Context) -> pb.ListAlarmsResponse:
        """List active alarms."""
        alarms = {"\0".join(alarm.key): alarm for alarm in self._desk.published.snapshot.alarms.values()}
        page = page_of(
            alarms,
            _ALARM_FIELDS,
            page_size=request.page_size,
            page_token=request.page_token,
            filter_text=request.filter,
        )
        return pb.ListAlarmsResponse(
            alarms=[self._views.alarm(alarm) for alarm in page.items], next_page_token=page.next_token
        )

    async def ListAgents(self, request: pb.ListAgentsRequest, context: Context) -> pb.ListAgentsResponse:
        """List agents, and what each has confirmed."""
        published = self._desk.published
        page = page_of(
            {node: node for node in published.snapshot.nodes},
            _agent_fields(published),
            page_size=request.page_size,
            page_token=request.page_token,
            filter_text=request.filter,
        )
        return pb.ListAgentsResponse(
            agents=[self._views.agent(published, node) for node in page.items], next_page_token=page.next_token
        )

    async def GetClusterStatus(
        self, request: pb.GetClusterStatusRequest, context: Context
    ) -> pb.GetClusterStatusResponse:
        """Tell who leads, and how far it is."""
        published = self._desk.published
        snapshot = published.snapshot
        told = pb.GetClusterStatusResponse(
            controller=self._facts.name,
            leader=True,
            leader_address=self._facts.address,
            election_id=types_pb2.ElectionId(epoch=published.election.epoch, term=published.election.term),
            revision=snapshot.revision,
            service_time=duration_ms(snapshot.service_time_ms),
            config_hash=self._facts.config_hash,
            version=self._facts.version,
            start_time=timestamp_ms(self._facts.start_ms),
            network=str(snapshot.network),
            agents_connected=len(snapshot.connected),
            nodes=len(snapshot.nodes),
        )
        if snapshot.frozen is not None:
            told.frozen.CopyFrom(_frozen(snapshot.frozen))
        return told

    async def StreamMeasurements(
        self, request: pb.StreamMeasurementsRequest, context: Context
    ) -> AsyncIterator[pb.StreamMeasurementsResponse]:
        """Tell what is measured, again and again."""
        mistakes = Mistakes()
        interval_ns = _DEFAULT_INTERVAL_NS
        if request.HasField("interval"):
            interval_ns = mistakes.duration_ns(request.interval, "interval")
            if not _INTERVAL_NS[0] <= interval_ns <= _INTERVAL_NS[1]:
                mistakes.add("interval", f"{interval_ns / 1e9:g} s is not in [0.1, 3600] s")
        links = mistakes.ids("links", request.links, "links")
        relays = mistakes.ids("keyRelays", request.key_relays, "key_relays")
        paths = mistakes.ids("entanglementPaths", request.entanglement_paths, "entanglement_paths")
        mistakes.settle()
        snapshot = self._desk.published.snapshot
        for name in sorted(links - snapshot.links.keys()):
            raise NotFound(f"links/{name}")
        for name in sorted(relays - snapshot.relays.keys()):
            raise NotFound(f"keyRelays/{name}")
        for name in sorted(paths - snapshot.paths.keys()):
            raise NotFound(f"entanglementPaths/{name}")
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            yield self._sample(links, relays, paths)
            # A client that takes its time gets the sample that is due then, and not those that it missed.
            due = max(due + interval_ns / 1e9, loop.time())
            await asyncio.sleep(due - loop.time())

    def _sample(
        self, links: frozenset[str], relays: frozenset[str], paths: frozenset[str]
    ) -> pb.StreamMeasurementsResponse:
        published = self._desk.published
        snapshot = published.snapshot
        told = pb.StreamMeasurementsResponse(
            sample_time=timestamp_ms(self._clock.wall_ms()), revision=snapshot.revision
        )
        for name in sorted(snapshot.links.keys() & links if links else snapshot.links):
            measured = self._views.link_measurement(published, snapshot.links[name])
            if measured is not None:
                told.links.append(measured)
        for name in sorted(snapshot.relays.keys() & relays if relays else snapshot.relays):
            relay = snapshot.relays[name]
            told.key_relays.add(
                key_relay=f"keyRelays/{name}",
                state=STATE.number(relay.state),
                ends=self._views.measurements.relay(relay),
            )
        for name in sorted(snapshot.paths.keys() & paths if paths else snapshot.paths):
            told.entanglement_paths.add(
                entanglement_path=f"entanglementPaths/{name}",
                ends=self._views.measurements.path(snapshot.paths[name]),
            )
        return told

    async def Drain(self, request: pb.DrainRequest, context: Context) -> pb.DrainResponse:
        """Put a node or link into maintenance, and move services off it."""
        mistakes = Mistakes()
        nodes, links = _places([request.name], "name", mistakes)
        mistakes.settle()
        collection, key = ("nodes", *nodes) if nodes else ("links", *links)
        asked = Drain(collection=collection, key=key, caller=caller_of(context))
        # Told before it is done, on the network of now: the writer moves some in every turn, and waits for nobody.
        moves = await self._search.drained(self._desk.published, Leaving.of(collection, key))
        revision = 0 if request.validate_only else (await changed(self._desk, asked)).revision
        return pb.DrainResponse(moves=[move_to_pb(move) for move in moves], revision=revision)

    async def Freeze(self, request: pb.FreezeRequest, context: Context) -> pb.FreezeResponse:
        """Stop or resume automatic moves."""
        asked = SetFreeze(frozen=request.frozen, reason=request.reason, caller=caller_of(context))
        result = await changed(self._desk, asked)
        told = pb.FreezeResponse(revision=result.revision)
        if isinstance(result.document, Freeze):
            told.frozen.CopyFrom(_frozen(result.document))
        return told

    async def WhatIf(self, request: pb.WhatIfRequest, context: Context) -> pb.WhatIfResponse:
        """Tell what would become of services if something failed."""
        mistakes = Mistakes()
        if not request.failed:
            mistakes.add("failed", "is required: what fails, as nodes/{node} or links/{link}")
        elif len(request.failed) > _MOST_FAILED:
            mistakes.add("failed", f"names {len(request.failed)}; at most {_MOST_FAILED} are taken")
        nodes, links = _places(request.failed[:_MOST_FAILED], "failed", mistakes)
        mistakes.settle()
        published = self._desk.published
        moves = await self._search.failed(published, Failure(nodes=nodes, links=links))
        return pb.WhatIfResponse(moves=[move_to_pb(move) for move in moves], revision=published.snapshot.revision)


def _places(names: Iterable[str], field: str, mistakes: Mistakes) -> tuple[frozenset[str], frozenset[str]]:
    """Return the ids of nodes and of links that are named, each in either form."""
    nodes: set[str] = set()
    links: set[str] = set()
    for name in names:
        if name.startswith("links/"):
            links.add(mistakes.id("links", name, field))
        elif name.startswith("nodes/"):
            nodes.add(mistakes.id("nodes", name, field))
        else:
            shown = f"{name[:80]!r} is neither" if name else "is required:"
            mistakes.add(field, f"{shown} nodes/{{node}} nor links/{{link}}" if name else f"{shown} nodes/… or links/…")
    return frozenset(nodes - {""}), frozenset(links - {""})


def _frozen(freeze: Freeze) -> pb.Frozen:
    return pb.Frozen(reason=freeze.reason, by=freeze.by, since=timestamp_ms(freeze.since_ms))


_ALARM_FIELDS: Fields[Alarm] = {
    "name": lambda alarm: either("alarms", alarm_name(alarm).removeprefix("alarms/")),
    "node": lambda alarm: ("",) if alarm.node == CONTROLLER else either("nodes", alarm.node),
    "object": lambda alarm: (alarm.object,),
    "kind": lambda alarm: (alarm.kind,),
    "severity": one_of(Severity, lambda alarm: alarm.severity),
}


def _agent_fields(published: Published) -> Fields[str]:
    snapshot = published.snapshot
    return {
        "node": lambda node: either("nodes", node),
        "connected": truth(lambda node: node in snapshot.connected),
        "agent_version": lambda node: (snapshot.agents[node].version if node in snapshot.agents else "",),
    }
