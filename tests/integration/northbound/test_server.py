"""The server itself: who may call, how much, how long, and what it says of itself."""

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from grpc_health.v1 import health_pb2, health_pb2_grpc

from controller.domain.alarm import Alarm
from controller.domain.events import AlarmRaised
from controller.domain.node import Interface, Node, Technology
from controller.domain.snapshot import ElectionId, Snapshot, put
from controller.northbound.guard import Limits
from controller.northbound.server import SERVICES, CannotListen, NorthboundSettings
from controller.ports.observations import AgentObservation, BlockObservation, LinkObservation, RelayObservation
from controller.service.desk import Desk
from controller.service.inbox import Inbox
from controller.service.published import Published
from controller.service.requests import Request, Result
from qinet.northbound.v1 import key_relay_pb2, key_relay_service_pb2, link_pb2, node_pb2
from qinet.northbound.v1 import operations_service_pb2 as ops
from qinet.northbound.v1 import topology_service_pb2 as pb
from qinet.types.v1 import types_pb2
from tests.integration.northbound.world import (
    CONTROLLER,
    Client,
    Controller,
    Party,
    client,
    reason_of,
    serving,
    topology,
)
from tests.support.networks import line, ring


def quiet_desk() -> Desk:
    return Desk(Inbox(), Published(snapshot=Snapshot(), election=ElectionId(epoch=1, term=1)))


async def refused(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call
    return error.value


async def test_nodes_and_saes_do_not_call_here(party: Party) -> None:
    async with serving(party, quiet_desk(), NorthboundSettings(address="127.0.0.1:0")) as port:
        for who in ("node/a", "sae/alice"):
            async with client(party, port, who) as stubs:
                error = await refused(stubs.topology.ListNodes(pb.ListNodesRequest()))
                assert (error.code(), reason_of(error).reason) == (
                    grpc.StatusCode.PERMISSION_DENIED,
                    "KIND_NOT_ALLOWED",
                )


async def test_health_says_serving_for_every_service(party: Party) -> None:
    async with (
        serving(party, quiet_desk(), NorthboundSettings(address="127.0.0.1:0")) as port,
        client(party, port) as stubs,
    ):
        health: Any = health_pb2_grpc.HealthStub(stubs.channel)
        for name in ("", *SERVICES):
            answer = await health.Check(health_pb2.HealthCheckRequest(service=name))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_grpcurl_lists_and_calls_through_reflection(world: Controller, party: Party) -> None:
    tls = party("user/alice")
    base = [
        str(Path(".venv/bin/grpcurl").resolve() if Path(".venv/bin/grpcurl").exists() else "grpcurl"),
        *("-cacert", str(tls.files.ca), "-cert", str(tls.files.certificate), "-key", str(tls.files.key)),
        *("-authority", CONTROLLER.dns_name or "", f"127.0.0.1:{world.port}"),
    ]

    def run(*more: str) -> str:
        return subprocess.run([*base, *more], capture_output=True, text=True, check=True, timeout=60).stdout

    listed = await asyncio.to_thread(run, "list")
    assert set(SERVICES) < set(listed.split())
    nodes = json.loads(await asyncio.to_thread(run, "qinet.northbound.v1.TopologyService/ListNodes"))["nodes"]
    assert [node["name"] for node in nodes] == ["nodes/n00", "nodes/n01", "nodes/n02", "nodes/n03"]


async def test_a_second_controller_on_the_port_is_told_so(party: Party) -> None:
    async with serving(party, quiet_desk(), NorthboundSettings(address="127.0.0.1:0")) as port:
        with pytest.raises(CannotListen, match=f"127.0.0.1:{port}"):
            async with serving(party, quiet_desk(), NorthboundSettings(address=f"127.0.0.1:{port}")):
                pass


async def test_a_message_beyond_the_limit_is_refused_and_the_server_goes_on(party: Party) -> None:
    settings = NorthboundSettings(address="127.0.0.1:0", max_message_bytes=10_000)
    async with serving(party, quiet_desk(), settings) as port, client(party, port) as stubs:
        error = await refused(stubs.topology.ListNodes(pb.ListNodesRequest(filter="x" * 20_000)))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert not (await stubs.topology.ListNodes(pb.ListNodesRequest())).nodes


async def first_of(stubs: Client) -> grpc.StatusCode:
    """Begin a watch; return OK when something came, else the code it was refused with."""
    watching = stubs.topology.WatchTopology(pb.WatchTopologyRequest())
    try:
        await asyncio.wait_for(watching.read(), 5)
    except grpc.aio.AioRpcError as full:
        return full.code()
    watching.cancel()
    return grpc.StatusCode.OK


class SilentDesk(Desk):
    """Takes requests and never answers."""

    def __init__(self) -> None:
        super().__init__(Inbox(), Published(snapshot=Snapshot(), election=ElectionId(epoch=1, term=1)))
        self.asked = asyncio.Event()

    async def submit(self, request: Request) -> Result:
        self.asked.set()
        await asyncio.Event().wait()
        raise AssertionError


async def test_a_call_without_a_deadline_is_answered_in_time_and_more_than_the_limit_at_once(party: Party) -> None:
    desk = SilentDesk()
    settings = NorthboundSettings(address="127.0.0.1:0", limits=Limits(unary_s=0.5, unary_calls=1))
    async with serving(party, desk, settings) as port, client(party, port) as stubs:
        request = pb.CreateNodeRequest(node_id="a", node=node_pb2.Node())
        waiting = asyncio.ensure_future(refused(stubs.topology.CreateNode(request)))
        await desk.asked.wait()
        many = await refused(stubs.topology.ListNodes(pb.ListNodesRequest()))
        assert (many.code(), reason_of(many).reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS")
        late = await waiting
        assert (late.code(), reason_of(late).reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "NO_ANSWER_IN_TIME")
        assert not (await stubs.topology.ListNodes(pb.ListNodesRequest())).nodes


async def test_more_watches_than_the_limit_are_refused_and_an_ended_one_gives_its_place(party: Party) -> None:
    settings = NorthboundSettings(address="127.0.0.1:0", limits=Limits(streams=1))
    async with serving(party, quiet_desk(), settings) as port, client(party, port) as stubs:
        first = stubs.topology.WatchTopology(pb.WatchTopologyRequest())
        await first.read()
        error = await refused(stubs.topology.WatchTopology(pb.WatchTopologyRequest()).read())
        assert reason_of(error).reason == "TOO_MANY_CALLS"
        first.cancel()
        while await first_of(stubs) is not grpc.StatusCode.OK:
            pass


async def test_a_watcher_that_does_not_read_loses_its_place_and_delays_nobody(party: Party) -> None:
    # More than any window of HTTP/2 holds, so that the server cannot get rid of it.
    wide = tuple(Interface(number=i, technology=Technology.DV_QKD, model="x" * 250) for i in range(200))
    snapshot = Snapshot(revision=1).applying(put(*(Node(name=f"n{i}", interfaces=wide) for i in range(400))))
    desk = Desk(Inbox(), Published(snapshot=snapshot, election=ElectionId(epoch=1, term=1)))
    settings = NorthboundSettings(address="127.0.0.1:0", limits=Limits(streams=1, write_s=0.3))
    async with (
        serving(party, desk, settings) as port,
        client(party, port, "user/slow") as slow,
        client(party, port) as quick,
    ):
        stuck = slow.topology.WatchTopology(pb.WatchTopologyRequest())
        await stuck.read()
        while await first_of(quick) is not grpc.StatusCode.OK:
            pass  # the slow one still has the only place
        stuck.cancel()


async def test_a_topology_is_applied_as_a_difference(operator: Client, world: Controller) -> None:
    plan = await operator.topology.ApplyTopology(topology(line(2), validate_only=True))
    assert (plan.created, plan.updated, plan.deleted, plan.revision) == (0, 2, 3, 0)
    assert {action.resource: list(action.fields) for action in plan.actions if action.fields} == {
        "nodes/n00": ["interfaces"],
        "nodes/n02": ["interfaces"],
    }
    assert len(world.desk.published.snapshot.nodes) == 4
    done = await operator.topology.ApplyTopology(topology(line(2)))
    assert done.revision > 0
    assert [action.resource for action in done.actions] == [action.resource for action in plan.actions]
    again = await operator.topology.ApplyTopology(topology(line(2)))
    assert (again.revision, again.unchanged, list(again.actions)) == (0, 5, [])


async def test_a_topology_with_mistakes_tells_them_all_and_changes_nothing(operator: Client, world: Controller) -> None:
    before = world.desk.published.snapshot.revision
    request = topology(ring(4))
    request.nodes.append(request.nodes[0])
    request.nodes.append(node_pb2.Node(name="x"))
    request.links[0].model_skr_bit_per_s = float("nan")
    error = await refused(operator.topology.ApplyTopology(request))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    for field in ("nodes[4].name", "nodes[5].name", "links[0].model_skr_bit_per_s"):
        assert field in (error.details() or "")
    assert world.desk.published.snapshot.revision == before


async def test_nodes_and_links_are_administered_under_their_etag(operator: Client, world: Controller) -> None:
    node = (await operator.topology.GetNode(pb.GetNodeRequest(name="nodes/n00"))).node
    told = await operator.topology.UpdateNode(
        pb.UpdateNodeRequest(node=node_pb2.Node(name=node.name, etag=node.etag, maintenance=True))
    )
    assert (told.node.maintenance, told.node.admin_enabled) == (True, True)
    stale = await refused(
        operator.topology.UpdateNode(
            pb.UpdateNodeRequest(node=node_pb2.Node(name=node.name, etag=node.etag, maintenance=False))
        )
    )
    assert reason_of(stale).reason == "STALE_ETAG"
    link = await operator.topology.UpdateLink(
        pb.UpdateLinkRequest(
            link=link_pb2.Link(name="links/l00", admin_enabled=False), update_mask=FieldMask(paths=["admin_enabled"])
        )
    )
    assert link.link.status == types_pb2.LINK_STATUS_OFF
    wrong = await refused(
        operator.topology.UpdateLink(
            pb.UpdateLinkRequest(link=link_pb2.Link(name="links/l00"), update_mask=FieldMask(paths=["length_km"]))
        )
    )
    assert wrong.code() is grpc.StatusCode.INVALID_ARGUMENT
    off = await operator.topology.ListLinks(pb.ListLinksRequest(filter="status = OFF AND node = n00"))
    assert [one.name for one in off.links] == ["links/l00"]
    used = await refused(operator.topology.DeleteNode(pb.DeleteNodeRequest(name="nodes/n00")))
    assert reason_of(used).reason == "IN_USE"
    await operator.topology.DeleteLink(pb.DeleteLinkRequest(name="links/l00"))
    gone = await refused(operator.topology.GetLink(pb.GetLinkRequest(name="links/l00")))
    assert gone.code() is grpc.StatusCode.NOT_FOUND
    made = await operator.topology.CreateLink(
        pb.CreateLinkRequest(
            link_id="l00",
            link=link_pb2.Link(
                ends=[link_pb2.LinkEnd(node="nodes/n01", interface=1), link_pb2.LinkEnd(node="nodes/n00", interface=1)],
                model_skr_bit_per_s=5,
            ),
        )
    )
    assert [end.node for end in made.link.ends] == ["nodes/n00", "nodes/n01"]


async def test_links_tell_what_is_decided_reserved_and_measured(operator: Client, world: Controller) -> None:
    await operator.relays.CreateKeyRelay(
        key_relay_service_pb2.CreateKeyRelayRequest(
            key_relay_id="r",
            key_relay=key_relay_pb2.KeyRelay(source="nodes/n00", target="nodes/n01", rate_bit_per_s=100),
        )
    )
    block = BlockObservation(block=7, end_time_ms=5, duration_ms=1000, secret_bit=10, measure="QBER", performance=0.03)
    now = 1_000
    world.observations.put(
        LinkObservation(
            node="n00", link="l00", stored_outbound_bit=3000, stored_inbound_bit=2000, skr_millibit_per_s=50,
            generated_bit_total=9000, blocks=(block,), heard_ms=now,
        ),
        LinkObservation(
            node="n01", link="l00", stored_outbound_bit=2000, stored_inbound_bit=2900, skr_millibit_per_s=60
        ),
        AgentObservation(node="n00", connected=True, in_force_digest=bytes(32), in_force_entries=3),
        RelayObservation(node="n00", relay="r", route_version=1, stock_bit=256),
    )  # fmt: skip
    link = (await operator.topology.GetLink(pb.GetLinkRequest(name="links/l00"))).link
    assert link.capacity_bit_per_s == 10_000
    assert link.reserved_bit_per_s > 100
    assert link.eskr_bit_per_s == int(10_000 - link.reserved_bit_per_s)
    measured = link.measurement
    assert (measured.skr_bit_per_s, measured.performance, measured.stored_key_bit) == (0.05, 0.03, 4900)
    assert 0 < measured.time_to_empty.seconds < 4900 / 100
    await world.cut("l00")
    down = (await operator.topology.GetLink(pb.GetLinkRequest(name="links/l00"))).link
    assert (down.status, list(down.down_at), down.down_reason) == (
        types_pb2.LINK_STATUS_PASSIVE,
        ["nodes/n00"],
        "fibre cut",
    )

    stream = operator.operations.StreamMeasurements(ops.StreamMeasurementsRequest(interval=Duration(nanos=10**8)))
    samples = [sample async for sample in take(stream, 2)]
    assert [one.link for one in samples[1].links] == ["links/l00"]
    assert samples[1].key_relays[0].ends[0].stock_bit == 256
    stream.cancel()
    for wrong in (
        ops.StreamMeasurementsRequest(interval=Duration(nanos=1)),
        ops.StreamMeasurementsRequest(links=["links/x"]),
    ):
        error = await refused(operator.operations.StreamMeasurements(wrong).read())
        assert error.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND)


async def take(stream: Any, count: int) -> Any:
    for _ in range(count):
        yield await stream.read()


async def test_operations_tell_alarms_agents_and_status(operator: Client, world: Controller) -> None:
    await world.tell(AlarmRaised(alarm=Alarm(node="n01", object="links/l00", kind="QBER_HIGH", message="0.2")))
    alarms = await operator.operations.ListAlarms(ops.ListAlarmsRequest(filter="kind = QBER_HIGH AND node = n01"))
    assert [(one.object, one.severity) for one in alarms.alarms] == [("links/l00", types_pb2.SEVERITY_MAJOR)]
    by_name = await operator.operations.ListAlarms(ops.ListAlarmsRequest(filter=f"name = {alarms.alarms[0].name}"))
    assert len(by_name.alarms) == 1
    agents = (await operator.operations.ListAgents(ops.ListAgentsRequest(filter="connected = true"))).agents
    assert [one.node for one in agents] == ["nodes/n00", "nodes/n01", "nodes/n02", "nodes/n03"]
    assert agents[0].peer_address == "n00:1"
    assert len(agents[0].desired_digest) == 64
    status = await operator.operations.GetClusterStatus(ops.GetClusterStatusRequest())
    assert (status.controller, status.leader, status.config_hash) == ("c1", True, "ab12")
    assert (status.agents_connected, status.nodes) == (4, 4)
    assert status.revision == world.desk.published.snapshot.revision
    assert status.election_id.term >= 1
