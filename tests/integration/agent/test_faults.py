"""What an agent does when something under it fails."""

import asyncio
import gc
import sqlite3

import pytest

from southbound.agent.keyplane.events import GetKeys
from southbound.agent.listening import ListenRefused
from southbound.agent.node import Agent
from southbound.agent.storage import Storage, Write
from tests.integration.agent.scripted import NODES, Running, eventually


async def test_an_agent_whose_disk_fails_gives_out_nothing_and_ends(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    await running.start(*NODES)
    await running.configure()
    await running.taken_at_a()
    commit, broken = Storage.commit, running.agents["a"].storage_id

    async def fails(self: Storage, writes: list[Write], stamp: object) -> None:
        if self.stored.store_id == broken:
            raise sqlite3.OperationalError("disk I/O error")
        await commit(self, writes, stamp)  # type: ignore[arg-type]

    monkeypatch.setattr(Storage, "commit", fails)
    answer = await running.agents["a"].ask(GetKeys(now_s=0, request=0, master="alice", slave="bob"))

    assert answer.status == 503
    assert not answer.keys
    async with asyncio.timeout(5):
        await running.agents["a"].failed.wait()
    assert not running.agents["b"].failed.is_set()


async def test_streams_come_back_after_the_dialled_agent_restarts(running: Running) -> None:
    await running.start(*NODES)
    await running.configure()
    await running.taken_at_a()
    assert running.agents["a"].peers == {"b", "c"}
    for _ in range(2):
        await running.agents["b"].crash()
        await eventually(lambda: "b" not in running.agents["a"].peers)
        await running.start("b")
        await eventually(lambda: running.agents["b"].peers == {"a", "c"})
    await eventually(lambda: running.agents["a"].peers == {"b", "c"})
    answer = await running.taken_at_a()
    assert (await running.taken_at_c([key.key_id for key in answer.keys])).status == 200


async def test_no_task_outlives_a_crash(running: Running, caplog: pytest.LogCaptureFixture) -> None:
    await running.start(*NODES)
    await running.configure()
    await running.taken_at_a()
    for _ in range(3):
        await running.agents["b"].crash()
        await eventually(lambda: "b" not in running.agents["a"].peers)
        gc.collect()
        await running.start("b")
        await eventually(lambda: running.agents["b"].peers == {"a", "c"})
    gc.collect()
    assert "Task was destroyed" not in caplog.text


async def test_a_port_that_is_taken_is_named(running: Running) -> None:
    await running.start("a")
    port = int(running.agents["a"].peer_address.rpartition(":")[2])
    for field in ("peer_listen", "delivery_listen"):
        plan = running.line.plan("b", running.controller.address, **{field: ("127.0.0.1", port)})
        with pytest.raises(ListenRefused, match=str(port)):
            await Agent.start(plan)
    await running.start("b")
