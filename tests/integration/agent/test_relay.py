"""Agents under a scripted controller: configured over real gRPC, they relay real key to each other."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from southbound.agent.keyplane.events import Answer, GetKeys, GetKeysById
from southbound.agent.node import Agent
from tests.integration.agent.scripted import NODES, Controller, Line, eventually, line_entries


@pytest.fixture
def line(tmp_path: Path) -> Line:
    return Line(tmp_path)


@pytest.fixture
async def controller(line: Line) -> AsyncIterator[Controller]:
    async with Controller(line.tls("controller/c1")) as controller:
        yield controller


async def started(line: Line, controller: Controller, stack: AsyncExitStack) -> dict[str, Agent]:
    agents = {}
    for node in NODES:
        agents[node] = await line.start(node, controller.address)
        stack.push_async_callback(agents[node].stop)
    return agents


async def configured(agents: dict[str, Agent], controller: Controller) -> None:
    addresses = {node: agent.peer_address for node, agent in agents.items()}
    for node in agents:
        answer = await controller.configure(node, line_entries(node, addresses))
        assert answer.HasField("ack"), answer


def available(agent: Agent) -> int:
    status = agent.status("alice", "bob")
    return 0 if status is None else status.stored_key_count


async def fetched(agents: dict[str, Agent], number: int = 1) -> tuple[Answer, Answer]:
    """Return the same keys as both applications get them."""
    await eventually(lambda: available(agents["a"]) >= number)
    ours = await agents["a"].ask(GetKeys(now_s=0, request=0, master="alice", slave="bob", number=number))
    assert ours.status == 200, ours
    ids = tuple(key.key_id for key in ours.keys)
    theirs = await agents["c"].ask(GetKeysById(now_s=0, request=0, slave="bob", master="alice", key_ids=ids))
    return ours, theirs


async def test_two_ends_fetch_the_same_relayed_key(line: Line, controller: Controller) -> None:
    async with AsyncExitStack() as stack:
        agents = await started(line, controller, stack)
        await configured(agents, controller)
        ours, theirs = await fetched(agents, 3)
        assert theirs.status == 200
        assert [key.key for key in ours.keys] == [key.key for key in theirs.keys]
        assert len({key.key for key in ours.keys}) == 3
