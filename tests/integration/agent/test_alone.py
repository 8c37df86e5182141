"""An agent without its controller, and what applications get of it over GS QKD 014."""

import asyncio
import base64
import subprocess
import sys
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from controller.domain.entries import ApplicationEntry, LinkEntry
from controller.identity.credentials import https_client_context
from qinet.southbound.v1 import agent_pb2 as pb
from southbound.agent import node
from tests.integration.agent.scripted import (
    NODES,
    Controller,
    Line,
    Running,
    application_entry,
    eventually,
    hop_entry,
    line_entries,
)

ADDRESSES = dict.fromkeys(NODES, "127.0.0.1:9")


async def test_an_orphan_ends_what_has_a_lifetime_and_keeps_the_rest(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node, "_ORPHAN_CHECK_S", 0.05)
    async with AsyncExitStack() as stack:
        async with Controller(line.tls("controller/c1")) as controller:
            agent = await line.start("a", controller.address)
            stack.push_async_callback(agent.stop)
            links = [entry for entry in line_entries("a", ADDRESSES) if isinstance(entry, LinkEntry)]
            assert (await controller.configure("a", links)).HasField("ack")
            answer = await controller.configure("a", [hop_entry("a", ADDRESSES)], remaining_s=0)
            assert answer.HasField("ack")
            # the controller is there: it ends what ends
            await asyncio.sleep(0.2)
            assert len(agent.configuration.entries) == 2
        await eventually(lambda: list(agent.configuration.entries) == ["links/a-b"])
        digest = agent.configuration.digest
        await agent.crash()
        again = await line.start("a", controller.address)
        stack.push_async_callback(again.stop)
        assert again.configuration.digest == digest


class TurnedClock:
    """A boot clock that a test turns."""

    boot_id = "one"

    def __init__(self) -> None:
        self.now_s = 1000.0

    def boot_s(self) -> float:
        return self.now_s

    def wall_ms(self) -> int:
        return 0

    def wall_ns(self) -> int:
        return self.wall_ms() * 1_000_000


async def test_what_is_left_of_an_entrys_life_counts_on_over_a_restart(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node, "_ORPHAN_CHECK_S", 0.02)
    clock = TurnedClock()
    async with AsyncExitStack() as stack:
        async with Controller(line.tls("controller/c1")) as controller:
            plan = replace(line.plan("a", controller.address), clock=clock)
            agent = await node.Agent.start(plan)
            stack.push_async_callback(agent.stop)
            links = [entry for entry in line_entries("a", ADDRESSES) if isinstance(entry, LinkEntry)]
            assert (await controller.configure("a", links)).HasField("ack")
            assert (await controller.configure("a", [hop_entry("a", ADDRESSES)], remaining_s=100)).HasField("ack")
        # 40 s with the controller gone, 50 s with the agent gone too
        clock.now_s += 40
        await agent.crash()
        clock.now_s += 50
        again = await node.Agent.start(plan)
        stack.push_async_callback(again.stop)
        await asyncio.sleep(0.1)
        assert len(again.configuration.entries) == 2
        clock.now_s += 10
        await eventually(lambda: list(again.configuration.entries) == ["links/a-b"])


async def test_an_agent_that_is_stopped_takes_its_leave_and_one_that_crashes_does_not(running: Running) -> None:
    await running.start("a", "b")
    sessions = {name: await running.controller.session(name) for name in ("a", "b")}
    await running.agents["a"].stop()
    await running.agents["b"].crash()
    assert [said for said in sessions["a"].said if said.notification.HasField("draining")]
    assert not [said for said in sessions["b"].said if said.notification.HasField("draining")]


FULL_DISK = """
import asyncio, resource, sys
from pathlib import Path
from southbound.agent.node import Agent
from southbound.agent.storage import StoreRefused
from tests.integration.agent.scripted import ControllerAddress, Line

async def main():
    line = Line(Path(sys.argv[1]))
    plan = line.plan("a", ControllerAddress.parse("127.0.0.1:9"))
    for size in (0, 8000, 40000):
        # To SQLite, a file that may not grow is a disk that is full.
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, -1))
        try:
            await Agent.start(plan)
        except StoreRefused as refusal:
            print(refusal.reason, refusal.message)

asyncio.run(main())
"""


async def test_a_full_disk_at_the_start_is_named_with_the_remedy(tmp_path: Path) -> None:
    told = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", FULL_DISK, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    lines = told.stdout.splitlines()
    assert len(lines) == 3
    for line in lines:
        assert line.startswith("STORE_UNAVAILABLE")
        assert "see that the disk has room" in line


async def test_a_message_beyond_the_size_limit_ends_the_session_and_the_next_one_stands(running: Running) -> None:
    await running.start("a")
    session = await running.controller.session("a")
    big = pb.ConfigUpdate(nonce=1, parts=1, upserts=[pb.ConfigEntry(id="x", content=bytes(5 << 20))])
    session.outbox.put_nowait(running.controller.response(config_update=big))
    again = await running.controller.session("a", after=session)
    assert session.over
    assert again.hello.base_digest == bytes(32)
    assert not running.agents["a"].failed.is_set()


async def test_two_applications_fetch_the_same_key_over_https(running: Running) -> None:
    await running.start(*NODES)
    await running.configure()
    await eventually(lambda: running.available() >= 1)
    master, slave = (https_client_context(running.line.tls(f"sae/{name}")) for name in ("alice", "bob"))
    at_a, at_c = (f"https://{running.agents[name].delivery_address}/api/v1/keys" for name in ("a", "c"))
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{at_a}/bob/enc_keys", ssl=master) as answer:
            assert answer.status == 200
            (ours,) = (await answer.json())["keys"]
        body = {"key_IDs": [{"key_ID": ours["key_ID"]}]}
        async with http.post(f"{at_c}/alice/dec_keys", json=body, ssl=slave) as answer:
            assert answer.status == 200
            assert (await answer.json())["keys"] == [ours]
        assert len(base64.b64decode(ours["key"])) == 32
        async with http.post(f"{at_c}/alice/dec_keys", json=body, ssl=slave) as answer:
            assert answer.status == 400


async def test_a_master_without_application_gets_503_and_the_controller_hears_of_it(running: Running) -> None:
    await running.start("a")
    session = await running.controller.session("a")
    url = f"https://{running.agents['a'].delivery_address}/api/v1/keys/nobody/enc_keys"
    async with aiohttp.ClientSession() as http:
        for _ in range(3):
            async with http.get(url, ssl=https_client_context(running.line.tls("sae/alice"))) as answer:
                assert answer.status == 503
    told = await session.until(lambda said: said.notification.HasField("application_new"))
    assert told.notification.application_new.server_sae == "alice"
    assert list(told.notification.application_new.client_saes) == ["nobody"]


async def test_once_the_controller_has_made_the_application_the_next_request_is_served(running: Running) -> None:
    """015's application_new: refused and told, then made, then served; who asks again and again is told of once."""
    await running.start(*NODES)
    addresses = {node: agent.peer_address for node, agent in running.agents.items()}
    for name in NODES:
        entries = [entry for entry in line_entries(name, addresses) if not isinstance(entry, ApplicationEntry)]
        assert (await running.controller.configure(name, entries)).HasField("ack")
    session = await running.controller.session("a")
    alice = https_client_context(running.line.tls("sae/alice"))
    url = f"https://{running.agents['a'].delivery_address}/api/v1/keys/bob"
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{url}/status", ssl=alice) as answer:
            assert answer.status == 503
        for _ in range(3):
            async with http.post(f"{url}/enc_keys", json={"additional_slave_SAE_IDs": []}, ssl=alice) as answer:
                assert answer.status == 503
                assert int(answer.headers["Retry-After"]) > 0
        told = await session.until(lambda said: said.notification.HasField("application_new"))
        assert list(told.notification.application_new.client_saes) == ["bob"]
        for name in ("a", "c"):
            await running.controller.configure(name, [application_entry(name, addresses)])
        await eventually(lambda: running.available() >= 1)
        async with http.get(f"{url}/enc_keys", ssl=alice) as answer:
            assert answer.status == 200
            (key,) = (await answer.json())["keys"]
    assert (await running.taken_at_c([key["key_ID"]])).keys[0].key == base64.b64decode(key["key"])
    news = [said for said in session.said if said.notification.HasField("application_new")]
    assert len(news) == 1
