"""Agents deliver entangled pairs to both ends of a path, over real streams and in real time."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest
from google.rpc import code_pb2

from controller.domain.entanglement_path import PairUse
from controller.domain.path_plan import HopPlan
from controller.identity import lab_ca
from qinet.southbound.v1 import agent_pb2 as pb
from qinet.types.v1 import types_pb2
from southbound.agent import configuration as rules
from southbound.agent.node import Agent
from southbound.agent.pair_faults import PairCondition
from southbound.agent.pair_room import Reply
from southbound.agent.pairs.effects import Failed, Kept, Measured, ServiceError
from southbound.agent.pairs.service import Ack, Create
from tests.integration.agent.pair_line import RunningLine
from tests.integration.agent.scripted import Controller, certificate, eventually


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[RunningLine]:
    lab_ca.init_ca(tmp_path / "pki", now=datetime.now(UTC))
    async with Controller(certificate(tmp_path, "controller/c1")) as controller, AsyncExitStack() as stack:
        yield RunningLine(tmp_path, controller=controller, stack=stack)


async def test_both_ends_get_the_same_pairs_with_the_same_frame(line: RunningLine) -> None:
    await line.set_up()
    await line.delivered(20)

    found = {}
    for node in ("a", "c"):
        room = line.agents[node].pairs
        assert room is not None
        found[node] = {one.pair: (one.x, one.z, one.test, one.state) for one in room.recent}
    both = found["a"].keys() & found["c"].keys()
    assert {pair: found["a"][pair] for pair in both} == {pair: found["c"][pair] for pair in both}
    assert len({(x, z) for x, z, _, _ in found["a"].values()}) > 1


async def test_an_end_reports_what_it_got_and_says_at_once_that_a_version_works(line: RunningLine) -> None:
    await line.set_up()
    session = line.controller.sessions["a"]
    told = await session.until(lambda said: said.notification.path_update.confirmed)
    assert told.notification.path_update.path == "p1"
    assert list(told.notification.path_update.confirmed_versions) == [1]

    said = await session.until(lambda said: any(path.fidelity.samples >= 3 for path in said.report.paths))
    path = said.report.paths[0]
    assert path.delivered_total > 0
    assert path.rate_millihertz > 0
    assert 0.25 < path.tracked_fidelity <= 1.0
    assert path.fidelity.low <= path.fidelity.fidelity <= path.fidelity.high
    assert said.report.memories_in_use == 2
    inventory = session.hello.inventory.entanglement
    assert (inventory.memories, inventory.can_swap, inventory.can_purify) == (8, True, True)
    link = next(one for one in said.report.links if one.link == "a-b") if said.report.links else None
    if link is None:
        said = await session.until(lambda said: any(one.pairs.pair_total for one in said.report.links))
        link = said.report.links[0]
    assert link.status == types_pb2.LINK_STATUS_ACTIVE


async def test_who_asks_at_both_ends_is_given_the_two_halves_of_the_same_pairs(line: RunningLine) -> None:
    await line.set_up(test_share=0.0)
    told: dict[str, list[Reply]] = {"a": [], "c": []}
    for node, far in (("a", "c"), ("c", "a")):
        room = line.agents[node].pairs
        assert room is not None
        answer = room.create(Create(remote=far, number=4, minimum_fidelity=0.8), told[node].append)
        assert isinstance(answer, Ack)
        refused = room.create(Create(remote=far, number=1, minimum_fidelity=0.95), told[node].append)
        assert isinstance(refused, Failed)
        assert refused.error is ServiceError.UNSUPPORTED

    await eventually(lambda: all(len(replies) == 4 for replies in told.values()))
    kept = {node: {one.pair: one for one in replies if isinstance(one, Kept)} for node, replies in told.items()}
    both = kept["a"].keys() & kept["c"].keys()
    assert both
    for pair in both:
        ours, theirs = kept["a"][pair], kept["c"][pair]
        assert ours.goodness_s == pytest.approx(theirs.goodness_s, abs=0.01)
        assert ours.goodness_s == pytest.approx(time.time(), abs=60)
        assert 0.8 < ours.goodness <= 1.0
    for node, replies in told.items():
        room = line.agents[node].pairs
        assert room is not None
        for one in replies:
            assert isinstance(one, Kept)
            room.release(one.logical_qubit)


async def test_a_path_moves_to_a_new_version_without_a_gap(line: RunningLine) -> None:
    # given a path over two repeaters that delivers on version 1
    line.nodes = ("a", "b", "c", "d")
    await line.set_up(hops=tuple(HopPlan(link=name, option=0, memory_pairs=1) for name in line.links), lanes=1)
    await line.delivered(3)

    # when another version is made, the head being told last, together with the end of the old one
    old = next(iter(rules.path_entries(line.agents["a"].configuration)))
    new = replace(old, route_version=2)
    for node in ("d", "c", "b"):
        assert (await line.configure(node, new)).HasField("ack")
    assert (await line.configure("a", new, replace(old, passive=True))).HasField("ack")

    # then both ends say that pairs come on it, and that the old one is drained
    for node in ("a", "d"):
        await line.controller.sessions[node].until(
            lambda said: any(
                path.route_version == 2 and path.confirmed and not path.undrained_versions
                for path in (said.notification.path_update, *said.report.paths)
            )
        )
    for node in line.nodes:
        assert (await line.configure(node, deletes=[old.id])).HasField("ack")
    before = line.ids("a") | line.ids("d")
    await eventually(lambda: len((line.ids("a") & line.ids("d")) - before) >= 3)


async def test_a_cut_is_told_by_both_ends_and_pairs_come_again_after_the_repair(line: RunningLine) -> None:
    await line.set_up()
    await line.delivered(3)
    line.faults.order("a-b", PairCondition(cut=True))
    for node in ("a", "b"):
        told = await line.controller.sessions[node].until(lambda said: said.notification.link_down.link == "a-b")
        assert told.notification.link_down.status == types_pb2.LINK_STATUS_OFF
        assert "cut" in told.notification.link_down.down_reason
    before = line.ids("a")

    line.faults.order("a-b", PairCondition())
    await line.controller.sessions["a"].until(lambda said: said.notification.link_up.link == "a-b")
    await eventually(lambda: len(line.ids("a") - before) >= 3)


@pytest.mark.parametrize("node", ["a", "b", "c"])
async def test_delivery_goes_on_after_a_crash(line: RunningLine, node: str) -> None:
    await line.set_up()
    await line.delivered(3)
    await line.agents[node].crash()
    await line.start(node)
    before = line.ids("a") | line.ids("c")
    await eventually(lambda: len((line.ids("a") & line.ids("c")) - before) >= 3)


async def test_what_both_ends_measured_becomes_the_same_key_in_their_stores(line: RunningLine) -> None:
    await line.set_up(use=PairUse.MEASURE, key_link="k", distillation_block_bit=6000)
    chance = Random(3)
    for number in range(1, 14_001):  # many more than a test has time for, as good as perfect pairs of the path would be
        bit, bases = chance.randrange(2), chance.choices("XZ", k=2)
        for node, basis in zip(("a", "c"), bases, strict=True):
            desk = line.agents[node].pair_desk
            assert desk is not None
            desk.measured("k", [Measured("p1", 1, number, basis, bit, "k")])

    # a block counts as stored at an end that has compared it with the other one's, bit for bit
    told = {}
    for node in ("a", "c"):
        session = line.controller.sessions[node]
        said = await session.until(lambda said: any(stored_bit(one) for one in said.report.links))
        told[node] = next(one for one in said.report.links if stored_bit(one))
    assert {link.link for link in told.values()} == {"k"}
    assert {link.status for link in told.values()} == {types_pb2.LINK_STATUS_ACTIVE}
    blocks = {node: {one.block: one.secret_bit for one in blocks_of(line, node)} for node in told}
    both = blocks["a"].keys() & blocks["c"].keys()
    assert both
    assert all(blocks["a"][block] == blocks["c"][block] > 0 for block in both)


def stored_bit(link: pb.LinkReport) -> int:
    return link.stored_outbound_bit + link.stored_inbound_bit


def blocks_of(line: RunningLine, node: str) -> list[pb.BlockReport]:
    said = line.controller.sessions[node].said
    return [block for one in said for link in one.report.links if link.link == "k" for block in link.blocks]


async def test_a_block_that_leaves_no_key_says_so(line: RunningLine) -> None:
    await line.set_up(use=PairUse.MEASURE, key_link="k", distillation_block_bit=20, test_share=0.0)
    said = await line.controller.sessions["a"].until(lambda said: said.notification.link_down.link == "k")
    assert "yields no key" in said.notification.link_down.down_reason
    alarm = await line.controller.sessions["a"].until(lambda said: said.notification.alarm.alarm.object == "links/k")
    assert alarm.notification.alarm.alarm.kind == "BLOCK_WITHOUT_KEY"


async def test_an_instruction_beyond_the_hardware_is_refused_by_name(line: RunningLine) -> None:
    await line.start(*line.nodes)
    entry = line.path(hops=tuple(HopPlan(link=name, option=0, memory_pairs=8) for name in line.links))
    answer = await line.configure("b", *line.link_entries("b"), entry)
    refused = {one.id: one.status for one in answer.nack.entries}
    assert refused.keys() == {entry.id}
    assert refused[entry.id].code == code_pb2.FAILED_PRECONDITION
    assert "take 16 memories of b, which has 8" in refused[entry.id].message
    assert not line.agents["b"].configuration.entries


async def test_a_node_that_lost_its_hardware_says_so_of_the_links_that_are_set(line: RunningLine) -> None:
    await line.set_up()
    await line.agents["b"].stop()
    bare = replace(line.plan("b", line.controller.address), pair_hardware=None)
    agent = await Agent.start(bare)
    line.stack.push_async_callback(agent.stop)
    hello = agent.hello()
    assert {(alarm.object, alarm.kind) for alarm in hello.alarms} == {
        ("links/a-b", "MODULE_MISSING"),
        ("links/b-c", "MODULE_MISSING"),
    }
    assert not hello.inventory.HasField("entanglement")
