"""Agents under a scripted controller: configured over real gRPC, they relay real key to each other."""

import asyncio
import threading
from contextlib import AsyncExitStack
from itertools import pairwise

import pytest

from southbound.agent.keyplane.events import Answer
from southbound.agent.storage import Storage, StoreRefused
from tests.integration.agent.scripted import NODES, Controller, Line, Running, eventually, hop_entry, line_entries


def ids(answer: Answer) -> list[str]:
    assert answer.status == 200, answer
    return [key.key_id for key in answer.keys]


Use = tuple[str, int, int, int]


def use(entry: dict[str, object]) -> Use:
    """Return (link, block, offset, length) of a ledger entry; what is at its default is not in it."""
    offset, length = (int(str(entry.get(name, 0))) for name in ("offset_bit", "length_bit"))
    return str(entry["link"]), int(str(entry["block"])), offset, length


async def stored_ledger(running: Running, node: str) -> list[dict[str, object]]:
    storage = await Storage.open(running.line.directory / "state" / node, node)
    try:
        return await storage.ledger()
    finally:
        await storage.close()


def keys(answer: Answer) -> list[bytes]:
    assert answer.status == 200, answer
    return [key.key for key in answer.keys]


async def test_two_ends_fetch_the_same_relayed_keys(running: Running) -> None:
    await running.start(*NODES)
    await running.configure()

    ours = await running.taken_at_a(3)
    theirs = await running.taken_at_c(ids(ours))

    assert keys(ours) == keys(theirs)
    assert len(set(keys(ours))) == 3


async def test_agents_go_on_delivering_without_a_controller(line: Line) -> None:
    async with Controller(line.tls("controller/c1")) as controller:
        stack = AsyncExitStack()
        running = Running(line, controller, stack)
        await running.start(*NODES)
        await running.configure()
        await running.taken_at_a()
    async with stack:
        await eventually(lambda: not any(agent.connected for agent in running.agents.values()))
        for _ in range(20):  # more than the stock at the moment that the controller left
            ours = await running.taken_at_a()
            assert keys(await running.taken_at_c(ids(ours))) == keys(ours)


@pytest.mark.parametrize("crash", [False, True])
async def test_a_restart_keeps_configuration_and_keys(running: Running, crash: bool) -> None:
    # given a network that delivers, and a key that its slave has not fetched yet
    await running.start(*NODES)
    await running.configure()
    ours = await running.taken_at_a()

    # when both ends restart, a crash writing nothing more
    for node in ("a", "c"):
        await (running.agents[node].crash() if crash else running.agents[node].stop())
    before = {node: running.controller.sessions[node] for node in ("a", "c")}
    await running.start("a", "c")

    # then they say that they hold the configuration, the slave gets its key, and new keys come
    for node in ("a", "c"):
        session = await running.controller.session(node, after=before[node])
        assert session.hello.base_digest == running.agents[node].configuration.digest
        assert session.hello.store_id == before[node].hello.store_id
        assert len(running.agents[node].configuration.entries) == len(running.controller.in_force[node])
        assert session.hello.peer_address == before[node].hello.peer_address
    assert keys(await running.taken_at_c(ids(ours))) == keys(ours)
    again = await running.taken_at_a()
    assert keys(await running.taken_at_c(ids(again))) == keys(again) != keys(ours)


async def test_the_joined_ledgers_show_no_bit_used_twice_and_none_received_that_was_not_sent(running: Running) -> None:
    await running.start(*NODES)
    await running.configure()
    for _ in range(10):
        await running.taken_at_c(ids(await running.taken_at_a()))
    for node in NODES:
        await running.agents[node].stop()
    ledgers = [await stored_ledger(running, node) for node in NODES]

    uses: dict[bool, list[Use]] = {True: [], False: []}
    for ledger in ledgers:
        for entry in ledger:
            if entry["kind"] == "USE" and entry["purpose"] == "CHUNK":
                uses[bool(entry.get("sent"))].append(use(entry))
    assert uses[True]
    by_block: dict[tuple[str, int], list[Use]] = {}
    for one in uses[True]:
        by_block.setdefault(one[:2], []).append(one)
    for ranges in by_block.values():
        assert all(one[2] + one[3] <= following[2] for one, following in pairwise(sorted(ranges)))
    assert len(set(uses[False])) == len(uses[False])
    assert set(uses[False]) <= set(uses[True])


async def test_two_agents_cannot_share_a_state_directory(running: Running) -> None:
    await running.start("a")
    with pytest.raises(StoreRefused, match="another agent has this state directory") as refusal:
        await running.line.start("a", running.controller.address)
    assert refusal.value.reason == "STORE_HELD"


async def test_nothing_is_left_behind_when_an_agent_stops(line: Line, controller: Controller) -> None:
    threads, tasks = set(threading.enumerate()), asyncio.all_tasks()
    agents = [await line.start(node, controller.address) for node in NODES]
    for agent in agents:
        await agent.stop()
    await controller.stop()
    # grpc's own poller threads live as long as the process
    left = [thread.name for thread in set(threading.enumerate()) - threads if "store" in thread.name]
    assert left == []
    await eventually(lambda: not [task for task in asyncio.all_tasks() - tasks if not task.done()])


async def test_a_new_route_version_is_confirmed_anew(running: Running) -> None:
    await running.start(*NODES)
    await running.configure()
    session = running.controller.sessions["a"]
    await session.until(lambda said: said.notification.relay_update.route_version == 1)

    addresses = {node: agent.peer_address for node, agent in running.agents.items()}
    for node in ("c", "b", "a"):
        answer = await running.controller.configure(node, [hop_entry(node, addresses, version=2)])
        assert answer.HasField("ack")
    while running.available():
        await running.taken_at_c(ids(await running.taken_at_a()))
        if any(2 in said.notification.relay_update.confirmed_versions for said in session.said):
            break

    told = await session.until(lambda said: 2 in said.notification.relay_update.confirmed_versions)
    update = told.notification.relay_update
    assert (update.route_version, update.confirmed) == (2, True)


async def test_a_relay_that_is_taken_out_delivers_no_more(running: Running) -> None:
    await running.start(*NODES)
    await running.configure()
    await running.taken_at_a()
    for node in NODES:
        gone = [
            entry.id for entry in line_entries(node, dict.fromkeys(NODES, "x:1")) if not entry.id.startswith("links/")
        ]
        assert (await running.controller.configure(node, [], gone)).HasField("ack")

    assert running.agents["a"].status("alice", "bob") is None
    await eventually(lambda: running.agents["a"].peers == {"b"})
