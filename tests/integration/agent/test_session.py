"""What an agent and its controller tell each other, over real gRPC."""

import asyncio
import logging
from pathlib import Path

import grpc
import grpc.aio
import pytest

from controller.identity.credentials import open_aio_channel
from controller.identity.peers import parse_identity
from controller.wire.entries import entry_to_bytes
from qinet.peer.v1 import peer_pb2, peer_pb2_grpc
from qinet.southbound.v1 import agent_pb2 as pb
from qinet.southbound.v1 import entries_pb2
from qinet.types.v1 import types_pb2
from southbound.agent.drivers.simulated import Condition
from southbound.agent.peers import RULES_VERSION
from southbound.agent.storage import StoreRefused, reset_election
from tests.integration.agent.scripted import (
    NODES,
    Controller,
    Line,
    Running,
    digest,
    eventually,
    hop_entry,
    line_entries,
    link_entry,
)

ADDRESSES = dict.fromkeys(NODES, "127.0.0.1:9")
UNIMPLEMENTED = grpc.StatusCode.UNIMPLEMENTED.value[0]
INVALID_ARGUMENT = grpc.StatusCode.INVALID_ARGUMENT.value[0]
ABORTED = grpc.StatusCode.ABORTED.value[0]


async def test_hello_says_who_the_agent_is_and_how_it_stands(running: Running) -> None:
    await running.start("b")
    hello = (await running.controller.session("b")).hello
    assert hello.peer_address == running.agents["b"].peer_address
    assert hello.delivery_address == running.agents["b"].delivery_address
    assert [(link.link, link.neighbour) for link in hello.inventory.links] == [("a-b", "a"), ("b-c", "c")]
    assert hello.base_digest == bytes(32)
    assert not hello.HasField("highest_election_id")
    assert {link.status for link in hello.links} == {types_pb2.LINK_STATUS_PENDING}


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (entries_pb2.Entry(path_instruction=entries_pb2.PathInstruction(path="p")).SerializeToString(), UNIMPLEMENTED),
        (b"", UNIMPLEMENTED),
        (b"\xff", INVALID_ARGUMENT),
        (entry_to_bytes(hop_entry("b", ADDRESSES)), INVALID_ARGUMENT),
    ],
    ids=["entanglement", "nothing", "garbage", "other-id"],
)
async def test_an_entry_that_is_not_served_is_named_and_nothing_is_applied(
    running: Running, content: bytes, code: int
) -> None:
    await running.start("b")
    entries = [link_entry("a-b", "b", ADDRESSES)]

    answer = await running.controller.configure("b", entries, raw={"paths/p": content})

    assert [(one.id, one.status.code) for one in answer.nack.entries] == [("paths/p", code)]
    assert answer.nack.digest == bytes(32)
    assert not running.agents["b"].configuration.entries
    assert (await running.controller.configure("b", entries)).HasField("ack")


async def test_more_shares_than_can_be_are_refused_by_name(running: Running) -> None:
    await running.start("b")
    links = [link_entry(link, "b", ADDRESSES) for link in ("a-b", "b-c")]
    answer = await running.controller.configure("b", [*links, hop_entry("b", ADDRESSES, shares=17)])
    (refused,) = answer.nack.entries
    assert (refused.id, refused.status.code) == ("keyRelays/r1/routes/1/shares/0", INVALID_ARGUMENT)
    assert "shares" in refused.status.message


async def test_a_hop_over_a_link_that_is_not_set_is_refused(running: Running) -> None:
    await running.start("b")
    answer = await running.controller.configure("b", [link_entry("a-b", "b", ADDRESSES), hop_entry("b", ADDRESSES)])
    (refused,) = answer.nack.entries
    assert (refused.id, refused.status.code) == ("keyRelays/r1/routes/1/shares/0", INVALID_ARGUMENT)
    assert "b-c" in refused.status.message


async def test_an_update_for_another_base_is_refused_and_the_hashes_tell_what_is_in_force(running: Running) -> None:
    await running.start("b")
    await running.controller.configure("b", [link_entry("a-b", "b", ADDRESSES)])
    held, running.controller.in_force["b"] = running.controller.in_force["b"], {"links/x": b"x"}

    answer = await running.controller.configure("b", [])
    assert answer.nack.status.code == ABORTED
    assert answer.nack.digest == digest(held)

    session = running.controller.sessions["b"]
    session.outbox.put_nowait(running.controller.response(entry_hashes_request=pb.EntryHashesRequest()))
    told = await session.until(lambda said: said.HasField("entry_hashes"))
    assert [one.id for one in told.entry_hashes.hashes] == ["links/a-b"]
    assert int.from_bytes(told.entry_hashes.hashes[0].hash, "big") == int.from_bytes(digest(held), "big")


async def test_the_parts_of_an_update_are_applied_together_at_the_last(running: Running) -> None:
    await running.start("b")
    session = await running.controller.session("b")
    contents = {entry.id: entry_to_bytes(entry) for entry in line_entries("b", ADDRESSES)}
    for part, (name, content) in enumerate(contents.items()):
        assert not running.agents["b"].configuration.entries
        update = pb.ConfigUpdate(
            nonce=7,
            version=3,
            base_digest=bytes(32),
            target_digest=digest(contents),
            upserts=[pb.ConfigEntry(id=name, content=content)],
            part=part,
            parts=len(contents),
        )
        session.outbox.put_nowait(running.controller.response(config_update=update))
    assert (await session.until(lambda said: said.ack.nonce == 7)).ack.digest == digest(contents)
    assert set(running.agents["b"].configuration.entries) == set(contents)


async def test_a_lower_election_id_is_refused_also_after_a_restart_until_it_is_reset(line: Line) -> None:
    async with Controller(line.tls("controller/c1"), (2, 5)) as high:
        agent = await line.start("a", high.address)
        await high.session("a")
        await eventually(lambda: agent.connected)
        await agent.stop()
    async with Controller(line.tls("controller/c1"), (2, 4)) as low:
        agent = await line.start("a", low.address)
        session = await low.session("a")
        assert (session.hello.highest_election_id.epoch, session.hello.highest_election_id.term) == (2, 5)
        await eventually(lambda: session.over)
        assert not agent.connected
        with pytest.raises(StoreRefused):
            reset_election(line.directory / "state" / "a")
        await agent.stop()

        assert reset_election(line.directory / "state" / "a") == "[2, 5]"
        seen = low.sessions["a"]
        while low.sessions["a"].over is False:
            await asyncio.sleep(0.01)
        agent = await line.start("a", low.address)
        await low.session("a", after=seen)
        await eventually(lambda: agent.connected)
        await agent.stop()


async def test_a_message_with_a_lower_election_id_ends_the_session(running: Running) -> None:
    running.controller.election = (1, 9)
    await running.start("a")
    session = await running.controller.session("a")
    running.controller.election = (1, 8)
    session.outbox.put_nowait(running.controller.response(heartbeat=pb.Heartbeat()))
    await eventually(lambda: session.over)


async def test_the_next_controller_is_tried_when_one_falls_silent(line: Line) -> None:
    async with (
        Controller(line.tls("controller/c1")) as first,
        Controller(line.tls("controller/c2"), (1, 2)) as second,
    ):
        first.heartbeat_ms = 50
        agent = await line.start("a", first.address, second.address)
        await first.session("a")
        await eventually(lambda: agent.connected)
        first.silent = True
        await second.session("a")
        await agent.stop()


async def test_a_controller_of_another_name_is_not_believed(line: Line) -> None:
    async with Controller(line.tls("controller/c1")) as controller, Controller(line.tls("node/b")) as impostor:
        wrong = type(controller.address)(name="c1", address=impostor.address.address)
        agent = await line.start("a", wrong, controller.address)
        await controller.session("a")
        assert not impostor.hellos
        await agent.stop()


async def test_a_cut_is_told_at_once_and_its_end_too(running: Running) -> None:
    await running.start(*NODES)
    await running.configure()
    sessions = [running.controller.sessions[node] for node in ("a", "b")]
    channel = running.line.channels["a-b"]
    await running.taken_at_a()

    channel.order(Condition(cut=True), 0)
    for session in sessions:
        told = await session.until(lambda said: said.notification.link_down.link == "a-b")
        down = told.notification.link_down
        assert "cut" in down.down_reason
        assert down.status in {types_pb2.LINK_STATUS_PASSIVE, types_pb2.LINK_STATUS_OFF}
        alarm = await session.until(lambda said: said.notification.alarm.alarm.kind == "LINK_DOWN")
        assert alarm.notification.alarm.alarm.object == "links/a-b"

    channel.order(Condition(), 0)
    for session in sessions:
        await session.until(lambda said: said.notification.link_up.link == "a-b")
        await session.until(
            lambda said: said.notification.alarm.alarm.kind == "LINK_DOWN" and said.notification.alarm.cleared
        )


async def test_blocks_above_the_qber_limit_make_no_key_and_an_alarm(running: Running) -> None:
    await running.start(*NODES)
    await running.configure()
    session = running.controller.sessions["a"]

    running.line.channels["a-b"].order(Condition(qber=0.2), 0)
    told = await session.until(lambda said: said.notification.alarm.alarm.kind == "QBER_HIGH")
    assert told.notification.alarm.alarm.object == "links/a-b"
    await session.until(lambda said: "QBER" in said.notification.link_down.down_reason)

    running.line.channels["a-b"].order(Condition(), 0)
    await session.until(
        lambda said: said.notification.alarm.alarm.kind == "QBER_HIGH" and said.notification.alarm.cleared
    )


async def test_reports_tell_stored_key_measured_blocks_and_what_may_be_promised(running: Running) -> None:
    await running.start(*NODES)
    await running.configure()
    session = running.controller.sessions["a"]

    def promised(said: pb.SessionRequest) -> bool:
        return any(link.HasField("promised_skr_millibit_per_s") for link in said.report.links)

    told = await session.until(promised)
    (link,) = told.report.links
    rate = running.line.block_secret_bit / running.line.block_s * 1000
    assert 0.9 * rate < link.promised_skr_millibit_per_s <= 0.951 * rate
    assert 0.9 * rate < link.skr_millibit_per_s < 1.1 * rate
    assert link.status == types_pb2.LINK_STATUS_ACTIVE
    assert link.stored_outbound_bit + link.stored_inbound_bit > 0
    reported = [block for said in session.said for link in said.report.links for block in link.blocks]
    numbers = [block.block for block in reported]
    assert len(numbers) >= 20
    assert numbers == sorted(set(numbers))
    relays = [relay for said in session.said for relay in said.report.relays]
    assert relays[-1].confirmed
    assert relays[-1].stock_bit > 0


async def test_a_master_without_application_is_told_to_the_controller(running: Running) -> None:
    await running.start("a")
    session = await running.controller.session("a")
    running.agents["a"].desk.application_missing(master="alice", slaves=("nobody",))
    told = await session.until(lambda said: said.notification.HasField("application_new"))
    assert told.notification.application_new.server_sae == "alice"
    assert list(told.notification.application_new.client_saes) == ["nobody"]


async def exchange(line: Line, who: str, target: str, address: str, claim: str) -> grpc.StatusCode:
    """Dial an agent's peer server and return how it ends the stream after our hello."""
    async with open_aio_channel(line.tls(who), address, parse_identity(f"node/{target}")) as channel:
        call = peer_pb2_grpc.PeerServiceStub(channel).Exchange()
        hello = peer_pb2.PeerMessage(hello=peer_pb2.PeerHello(node=claim, rules_version=RULES_VERSION))
        try:
            await call.write(peer_pb2.ExchangeRequest(message=hello))
            assert await call.read() is grpc.aio.EOF
        except grpc.aio.AioRpcError:
            pass
        return await call.code()


async def test_peers_are_who_their_certificates_say_and_wanted(running: Running) -> None:
    await running.start("b")
    await running.controller.configure("b", [link_entry("a-b", "b", ADDRESSES)])
    address = running.agents["b"].peer_address
    denied, not_wanted = grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.FAILED_PRECONDITION

    assert await exchange(running.line, "node/c", "b", address, "a") is denied
    assert await exchange(running.line, "user/mallory", "b", address, "a") is denied
    assert await exchange(running.line, "node/aa", "b", address, "aa") is not_wanted
    assert await exchange(running.line, "node/a", "c", address, "a") is grpc.StatusCode.UNAVAILABLE
    assert running.agents["b"].peers == frozenset()


async def test_an_agent_with_a_certificate_of_another_ca_says_so_once_and_what_helps(
    controller: Controller, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "southbound.agent.uplink")
    agent = await Line(tmp_path / "other").start("a", controller.address)
    await eventually(lambda: caplog.text.count("session ended node=a") > 1)
    await agent.stop()
    (line,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert "the controller's certificate is not of our CA" in line
    assert "OPENSSL" not in line
