"""Agents deliver entangled pairs to both ends of a path, over real streams and in real time."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from controller.domain.entanglement_path import PairUse
from controller.identity import lab_ca
from qinet.types.v1 import types_pb2
from southbound.agent.pair_faults import PairCondition
from tests.integration.agent.pair_line import PairLine
from tests.integration.agent.scripted import Controller, certificate, eventually


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[PairLine]:
    lab_ca.init_ca(tmp_path / "pki", now=datetime.now(UTC))
    async with Controller(certificate(tmp_path, "controller/c1")) as controller, AsyncExitStack() as stack:
        yield PairLine(tmp_path, controller, stack)


async def test_both_ends_get_the_same_pairs_with_the_same_frame(line: PairLine) -> None:
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


async def test_an_end_reports_what_it_got_and_says_at_once_that_a_version_works(line: PairLine) -> None:
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


async def test_a_cut_is_told_by_both_ends_and_pairs_come_again_after_the_repair(line: PairLine) -> None:
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
async def test_delivery_goes_on_after_a_crash(line: PairLine, node: str) -> None:
    await line.set_up()
    await line.delivered(3)
    await line.agents[node].crash()
    await line.start(node)
    before = line.ids("a") | line.ids("c")
    await eventually(lambda: len((line.ids("a") & line.ids("c")) - before) >= 3)


async def test_the_pairs_of_a_path_become_the_same_key_at_both_ends(line: PairLine) -> None:
    await line.set_up(use=PairUse.MEASURE, key_link="k", distillation_block_bit=20, test_share=0.0)
    session = line.controller.sessions["a"]
    said = await session.until(lambda said: any(one.link == "k" and one.blocks for one in said.report.links))
    link = next(one for one in said.report.links if one.link == "k")
    assert link.blocks[0].secret_bit == 0
    assert "yields no key" in link.down_reason
