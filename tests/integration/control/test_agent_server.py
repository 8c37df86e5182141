"""Agents over real gRPC and mutual TLS: let in, configured, heard, and shown the door."""

import asyncio
import socket

import grpc
import grpc.aio
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from controller.domain import events
from controller.domain.entries import entry_hash
from controller.domain.refusals import Precondition
from controller.domain.snapshot import ElectionId
from controller.identity.credentials import open_aio_channel
from controller.identity.peers import Identity, Kind
from controller.wire.southbound import election_to_pb
from qinet.southbound.v1 import agent_pb2 as pb
from qinet.southbound.v1 import agent_pb2_grpc as rpc
from tests.integration.control.conftest import ELECTION, House
from tests.integration.control.raw_agent import RawAgent


async def test_an_agent_is_welcomed_configured_and_heard(house: House) -> None:
    # given a configuration in parts, wanted of a node
    desired = {f"links/l{n}": b"x" * 200 for n in range(200)}
    house.server.push({"a": desired}, 7, ELECTION)

    async with RawAgent(house.tls(Kind.NODE, "a"), house.address) as agent:
        # when its agent dials in
        await agent.hello()
        assert (await agent.next("welcome")).welcome.heartbeat_interval_ms == 300
        await agent.take_update()

        # then it has what is wanted, and the writer hears of it
        assert agent.model.entries == desired
        confirmed = await house.writer.until(lambda event: isinstance(event, events.ConfigConfirmed))
        assert isinstance(confirmed, events.ConfigConfirmed)
        assert confirmed.version == 7
        assert confirmed.in_force == {name: entry_hash(name, content) for name, content in desired.items()}

        # and its notification is acknowledged, and its report seen
        await agent.say(notification=pb.Notification(sequence=1, link_down=pb.LinkReport(link="l1", down_reason="cut")))
        assert (await agent.next("notification_ack")).notification_ack.sequence == 1
        assert events.LinkReport(node="a", link="l1", down_reason="cut") in house.writer.events
        seen = house.observations.link("l1", "a")
        assert seen is not None
        assert seen.down_reason == "cut"

        # and a later wish reaches it on the same stream
        house.server.push({"a": {}}, 8, ELECTION)
        await agent.take_update()
        assert agent.model.entries == {}
    lost = await house.writer.until(lambda event: isinstance(event, events.AgentLost))
    assert lost == events.AgentLost(node="a", reason="the agent closed the stream, or it broke")


async def test_a_refusal_tells_a_program_why(house: House) -> None:
    house.server.push({}, 1, ELECTION)
    async with RawAgent(house.tls(Kind.NODE, "a"), house.address) as agent:
        await agent.hello()
        code, details = await agent.ended()
        assert code is grpc.StatusCode.FAILED_PRECONDITION
        assert "qinetctl topology apply" in details
        status = await rpc_status.aio.from_call(agent.call)
        assert status is not None
        info = error_details_pb2.ErrorInfo()
        assert status.details[0].Unpack(info)
        assert (info.reason, info.domain, dict(info.metadata)) == ("NODE_UNKNOWN", "qinet.southbound", {"node": "a"})


async def test_hello_for_another_node_than_the_certificates_is_refused(house: House) -> None:
    house.server.push({"a": {}, "b": {}}, 1, ELECTION)
    async with RawAgent(house.tls(Kind.NODE, "b"), house.address) as agent:
        await agent.hello(node="a")
        code, _ = await agent.ended()
    assert code is grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize("kind", [Kind.USER, Kind.SAE, Kind.CONTROLLER])
async def test_only_nodes_may_hold_a_session(house: House, kind: Kind) -> None:
    house.server.push({"a": {}}, 1, ELECTION)
    async with RawAgent(house.tls(kind, "a"), house.address) as agent:
        code, _ = await agent.ended()
    assert code is grpc.StatusCode.PERMISSION_DENIED


async def test_a_newer_stream_replaces_the_older_and_another_store_is_turned_away(house: House) -> None:
    house.server.push({"a": {}}, 1, ELECTION)
    tls = house.tls(Kind.NODE, "a")
    async with RawAgent(tls, house.address) as older, RawAgent(tls, house.address) as newer:
        await older.hello()
        await older.next("welcome")
        await older.fall_silent()
        await newer.hello()
        await newer.next("welcome")
        assert (await older.ended())[0] is grpc.StatusCode.ABORTED
        async with RawAgent(tls, house.address) as other:
            await other.hello(store_id="another")
            assert (await other.ended())[0] is grpc.StatusCode.ALREADY_EXISTS
        await newer.next("heartbeat")


async def test_a_silent_stream_is_closed_before_and_after_hello(house: House) -> None:
    house.server.push({"a": {}, "b": {}}, 1, ELECTION)
    async with (
        RawAgent(house.tls(Kind.NODE, "a"), house.address) as mute,
        RawAgent(house.tls(Kind.NODE, "b"), house.address) as dead,
    ):
        await dead.hello(beating=False)
        assert (await mute.ended())[0] is grpc.StatusCode.DEADLINE_EXCEEDED
        code, details = await dead.ended()
        assert code is grpc.StatusCode.DEADLINE_EXCEEDED
        assert "3 heartbeats" in details
    lost = await house.writer.until(lambda event: isinstance(event, events.AgentLost))
    assert isinstance(lost, events.AgentLost)
    assert lost.node == "b"


async def test_an_agent_that_does_not_read_delays_nobody_else(house: House) -> None:
    # given an agent that heartbeats and never reads, while much is wanted of it
    big = {f"links/l{n}": bytes(9_000) for n in range(1_000)}
    house.server.push({"a": big, "b": {}}, 1, ELECTION)
    async with (
        RawAgent(house.tls(Kind.NODE, "a"), house.address) as stuck,
        RawAgent(house.tls(Kind.NODE, "b"), house.address) as brisk,
    ):
        await stuck.hello()
        await stuck.next("welcome")
        # when another comes and is configured
        await brisk.hello()
        await brisk.next("welcome")
        house.server.push({"b": {"links/l": b"1"}}, 2, ELECTION)
        await brisk.take_update()
        # then it is done, and what waits for the first is bounded by its one update
        await house.writer.until(lambda event: isinstance(event, events.ConfigConfirmed) and event.node == "b")
        session = house.server.registry.sessions()["a"]
        assert 0 < session.waiting <= 1_002
        # and once it falls silent too, it is given up
        await stuck.fall_silent()
        lost = await house.writer.until(lambda event: isinstance(event, events.AgentLost) and event.node == "a")
        assert isinstance(lost, events.AgentLost)
        assert "nothing heard" in lost.reason
        assert (await stuck.ended())[0] is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_a_message_beyond_the_limit_ends_its_stream_alone(house: House) -> None:
    house.server.push({"a": {}, "b": {}}, 1, ELECTION)
    async with (
        RawAgent(house.tls(Kind.NODE, "a"), house.address) as big,
        RawAgent(house.tls(Kind.NODE, "b"), house.address) as other,
    ):
        for agent in (big, other):
            await agent.hello()
            await agent.next("welcome")
        await big.fall_silent()
        await big.say(report=pb.Report(links=[pb.LinkReport(link="l", down_reason="x" * 200_000)]))
        code, _ = await big.ended()
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        await house.writer.until(lambda event: isinstance(event, events.AgentLost) and event.node == "a")
        await other.next("heartbeat")


async def test_a_full_inbox_stops_the_reading_and_loses_nothing(house: House) -> None:
    house.server.push({"a": {}}, 1, ELECTION)
    async with RawAgent(house.tls(Kind.NODE, "a"), house.address) as agent:
        await agent.hello()
        await agent.next("welcome")
        await house.writer.until(lambda event: isinstance(event, events.AgentConnected))
        house.writer.room = 0
        for sequence in range(1, 51):
            down = pb.LinkReport(link=f"l{sequence}", down_reason="cut")
            await agent.say(notification=pb.Notification(sequence=sequence, link_down=down))
        # longer than three heartbeats: the silence is ours
        for _ in range(5):
            await agent.next("heartbeat")
        house.writer.room = None
        acknowledged = 0
        while acknowledged < 50:
            acknowledged = (await agent.next("notification_ack")).notification_ack.sequence
        told = [event.link for event in house.writer.events if isinstance(event, events.LinkReport)]
        assert told == [f"l{n}" for n in range(1, 51)]


async def test_stopping_tells_the_agents_to_go_elsewhere(house: House) -> None:
    house.server.push({"a": {}}, 1, ELECTION)
    async with RawAgent(house.tls(Kind.NODE, "a"), house.address) as agent:
        await agent.hello()
        await agent.next("welcome")
        await agent.fall_silent()
        stopping = asyncio.create_task(house.server.stop(grace_s=2))
        assert (await agent.ended())[0] is grpc.StatusCode.UNAVAILABLE
        await stopping


async def test_a_port_that_is_taken_is_refused_with_the_remedy(house: House) -> None:
    other = House(house._pki)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(Precondition, match="choose another"):
            await other.server.start(house.tls(Kind.CONTROLLER, "two"), address)
    await other.server.stop()


async def test_without_a_certificate_nobody_gets_in(house: House) -> None:
    house.server.push({"a": {}}, 1, ELECTION)
    tls = house.tls(Kind.NODE, "a")
    options = [("grpc.ssl_target_name_override", "one.controller.qinet")]
    nobody = grpc.ssl_channel_credentials(tls.ca_pem)
    async with grpc.aio.secure_channel(house.address, nobody, options) as channel:
        call = rpc.AgentServiceStub(channel).Session()
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await call.read()
        assert refusal.value.code() is grpc.StatusCode.UNAVAILABLE
    async with open_aio_channel(tls, house.address, Identity(Kind.CONTROLLER, "two")) as channel:
        call = rpc.AgentServiceStub(channel).Session()
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await call.read()
        assert refusal.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_the_rest_of_a_refused_update_goes_out_at_once_and_changed_bytes_too(house: House) -> None:
    house.server.push({"a": {"links/l": b"1", "keyRelays/r/routes/1/shares/0": b"bad"}}, 1, ELECTION)
    async with RawAgent(house.tls(Kind.NODE, "a"), house.address) as agent:
        agent.model.refuses = {b"bad"}
        await agent.hello()
        await agent.next("welcome")
        await agent.take_update()
        refused = await house.writer.until(lambda event: isinstance(event, events.ConfigRefused))
        assert isinstance(refused, events.ConfigRefused)
        assert set(refused.refused) == {"keyRelays/r/routes/1/shares/0"}

        # when the writer says nothing, the rest comes all the same, and well within its patience
        async with asyncio.timeout(1):
            await agent.take_update()
        assert agent.model.entries == {"links/l": b"1"}

        # and other bytes under the refused id are not made to wait
        house.server.push({"a": {"links/l": b"1", "keyRelays/r/routes/1/shares/0": b"good"}}, 2, ELECTION)
        async with asyncio.timeout(1):
            await agent.take_update()
        assert agent.model.entries["keyRelays/r/routes/1/shares/0"] == b"good"


async def test_what_is_in_force_is_asked_for_in_parts_and_only_the_difference_is_sent(house: House) -> None:
    desired = {f"links/l{n}": b"%d" % n for n in range(3_000)}
    house.server.push({"a": desired}, 1, ELECTION)
    async with RawAgent(house.tls(Kind.NODE, "a"), house.address) as agent:
        agent.model.entries = desired | {"links/gone": b"1"}
        await agent.hello()
        await agent.next("welcome")
        await agent.next("entry_hashes_request")
        hashes = [pb.EntryHash(id=name, hash=value) for name, value in agent.model.hashes.items()]
        parts = [hashes[start : start + 1_000] for start in range(0, len(hashes), 1_000)]
        for index, part in enumerate(parts):
            await agent.say(entry_hashes=pb.EntryHashes(hashes=part, part=index, parts=len(parts)))
        await agent.take_update()
        assert agent.model.entries == desired
        assert agent.model.updates == 1


async def test_parts_of_an_update_that_a_broken_stream_cut_off_are_sent_anew(house: House) -> None:
    desired = {f"links/l{n}": b"x" * 200 for n in range(200)}
    house.server.push({"a": desired}, 1, ELECTION)
    tls = house.tls(Kind.NODE, "a")
    async with RawAgent(tls, house.address) as agent:
        await agent.hello()
        await agent.next("welcome")
        assert (await agent.next("config_update")).config_update.parts > 2
    async with RawAgent(tls, house.address) as again:
        await again.hello()
        await again.next("welcome")
        await again.take_update()
        assert again.model.entries == desired


async def test_the_time_that_is_left_travels_with_an_entry(house: House) -> None:
    house.server.push({"a": {"links/l": b"1", "links/m": b"2"}}, 1, ELECTION, remaining_s={"links/l": 90})
    async with RawAgent(house.tls(Kind.NODE, "a"), house.address) as agent:
        await agent.hello()
        await agent.next("welcome")
        update = (await agent.next("config_update")).config_update
        left = {entry.id: entry.remaining_s if entry.HasField("remaining_s") else None for entry in update.upserts}
        assert left["links/m"] is None
        assert left["links/l"] in (89, 90)


async def test_an_agent_that_has_seen_a_higher_election_id_is_told_of_until_it_comes_without(house: House) -> None:
    house.server.push({"a": {}}, 1, ELECTION)
    ahead = ElectionId(epoch=ELECTION.epoch + 1, term=1)
    tls = house.tls(Kind.NODE, "a")
    async with RawAgent(tls, house.address) as agent:
        await agent.hello(beating=False, highest_election_id=election_to_pb(ahead))
        code, details = await agent.ended()
        assert code is grpc.StatusCode.FAILED_PRECONDITION
        assert "qinet-agent reset-election" in details
    await house.writer.until(lambda event: isinstance(event, events.AlarmRaised))
    assert events.ElectionAhead(node="a", highest_epoch=2, highest_term=1) in house.writer.events
    async with RawAgent(tls, house.address) as agent:
        await agent.hello(highest_election_id=election_to_pb(ELECTION))
        await agent.next("welcome")
    cleared = events.AlarmCleared(key=("", "nodes/a", "ELECTION_ID_AHEAD"))
    await house.writer.until(lambda event: event == cleared)


async def test_an_application_that_asks_and_an_agent_that_takes_its_leave_are_told(house: House) -> None:
    house.server.push({"a": {}}, 1, ELECTION)
    async with RawAgent(house.tls(Kind.NODE, "a"), house.address) as agent:
        await agent.hello()
        await agent.next("welcome")
        asked = pb.ApplicationNew(server_sae="alice", client_saes=["bob"])
        await agent.say(notification=pb.Notification(sequence=1, application_new=asked))
        assert (await agent.next("notification_ack")).notification_ack.sequence == 1
        told = events.ApplicationAsked(node="a", server_sae="alice", client_saes=("bob",))
        assert told in house.writer.events
        await agent.say(notification=pb.Notification(sequence=2, draining=pb.Draining()))
        assert (await agent.next("notification_ack")).notification_ack.sequence == 2
    lost = await house.writer.until(lambda event: isinstance(event, events.AgentLost))
    assert lost == events.AgentLost(node="a", reason=events.DRAINING)
