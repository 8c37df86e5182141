"""Two agents whose only link has another vendor's GS QKD 014 key source at each end, over real TLS all the way."""

import base64
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from controller.domain.entries import Entry
from controller.domain.route import Hop
from controller.identity.credentials import https_client_context
from qinet.southbound.v1 import agent_pb2 as pb
from qinet.types.v1 import types_pb2
from southbound.agent.clock import SystemClock
from southbound.agent.module_settings import load_module_settings, make_module
from southbound.agent.node import Agent
from southbound.agent.storage import Storage
from tests.integration.agent.scripted import (
    AgentSession,
    Controller,
    Line,
    application_entry,
    eventually,
    hop_entry,
    link_entry,
    make_link,
)
from tests.support.upstream_014 import Fault, UpstreamPair, upstream_pair

NODES = ("a", "c")
LINK = make_link("a-c", NODES)


def config(pair: UpstreamPair, node: str) -> str:
    ours, theirs = ("sae-a", "sae-c") if node == "a" else ("sae-c", "sae-a")
    certificate, key = pair.authority.issue(ours)
    return f"""
modules:
  a-c:
    driver: gs014
    url: {pair.entities[NODES.index(node)].url}
    sae: {ours}
    peer_sae: {theirs}
    certificate: {certificate}
    key: {key}
    ca: {pair.authority.ca}
    poll_s: 0.05
    timeout_s: 1.0
    down_after: 2
"""


def entries(node: str, addresses: dict[str, str]) -> list[Entry]:
    far = "c" if node == "a" else "a"
    hop = Hop(link="a-c", start="a", end="c")
    link = replace(
        link_entry("a-b", "a", {"b": addresses[far]}), link="a-c", neighbour=far, neighbour_address=addresses[far]
    )
    relay = hop_entry(node, addresses)
    relay = replace(relay, previous=hop) if node == "c" else replace(relay, next=hop)
    return [link, relay, application_entry(node, addresses)]


class Pair:
    """The two agents and what they are fed by."""

    def __init__(self, line: Line, controller: Controller, source: UpstreamPair, stack: AsyncExitStack) -> None:
        self.line = line
        self.controller = controller
        self.source = source
        self.agents: dict[str, Agent] = {}
        self._stack = stack

    async def start(self, node: str) -> None:
        path = self.line.directory / f"{node}.yaml"
        path.write_text(config(self.source, node))
        drivers, clock = load_module_settings(path, node, [LINK]), SystemClock()
        plan = replace(
            self.line.plan(node, self.controller.address),
            links=[LINK],
            find_module=lambda link: make_module(link, drivers[link], clock, channel=lambda _: None),
        )
        agent = self.agents[node] = await Agent.start(plan)
        self._stack.push_async_callback(agent.stop)

    async def configure(self) -> None:
        addresses = {node: agent.peer_address for node, agent in self.agents.items()}
        for node in NODES:
            assert (await self.controller.configure(node, entries(node, addresses))).HasField("ack")

    def stored_bit(self, node: str) -> int:
        return next((one.stored_bit for one in self.agents[node].figures().links), 0)

    async def delivered(self) -> tuple[bytes, bytes]:
        """Have alice fetch a key at a and bob the same at c; return both."""

        def available() -> bool:
            status = self.agents["a"].status("alice", "bob")
            return status is not None and status.stored_key_count > 0

        await eventually(available)
        at = {node: f"https://{self.agents[node].delivery_address}/api/v1/keys" for node in NODES}
        master, slave = (https_client_context(self.line.tls(f"sae/{name}")) for name in ("alice", "bob"))
        async with aiohttp.ClientSession() as http:
            async with http.get(f"{at['a']}/bob/enc_keys", ssl=master) as answer:
                assert answer.status == 200
                (ours,) = (await answer.json())["keys"]
            body = {"key_IDs": [{"key_ID": ours["key_ID"]}]}
            async with http.post(f"{at['c']}/alice/dec_keys", json=body, ssl=slave) as answer:
                assert answer.status == 200
                (theirs,) = (await answer.json())["keys"]
        return base64.b64decode(ours["key"]), base64.b64decode(theirs["key"])


@pytest.fixture
async def pair(tmp_path: Path, line: Line, controller: Controller) -> AsyncIterator[Pair]:
    async with upstream_pair(tmp_path / "vendor", keys=200, at_once=20) as source, AsyncExitStack() as stack:
        pair = Pair(line, controller, source, stack)
        for node in NODES:
            await pair.start(node)
        await pair.configure()
        yield pair


async def stored_ledger(directory: Path, node: str) -> list[dict[str, object]]:
    storage = await Storage.open(directory, node)
    try:
        return await storage.ledger()
    finally:
        await storage.close()


def alarm(session: AgentSession, kind: str, *, cleared: bool) -> bool:
    changes = [said.notification.alarm for said in session.said if said.notification.HasField("alarm")]
    found = [change for change in changes if change.alarm.kind == kind]
    return bool(found) and found[-1].cleared is cleared


async def test_keys_of_a_foreign_source_are_relayed_and_delivered_equal_at_both_ends(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    ours, theirs = await pair.delivered()
    assert ours == theirs
    assert len(ours) == 32

    # and the account holds, while neither log nor report tells anything of the source's keys
    session = pair.controller.sessions["a"]
    for agent in pair.agents.values():
        await agent.stop()
    ledgers = [await stored_ledger(pair.line.directory / "state" / node, node) for node in NODES]
    sent = [one for ledger in ledgers for one in ledger if one["kind"] == "USE" and one.get("sent")]
    received = [one for ledger in ledgers for one in ledger if one["kind"] == "USE" and not one.get("sent")]
    named = [{(one["block"], one.get("offset_bit", 0), one["length_bit"]) for one in uses} for uses in (sent, received)]
    assert named[1] <= named[0]
    said = caplog.text + "".join(str(one) for one in session.said)
    assert not any(key_id in said for key_id in pair.source.vault.given)


async def test_what_is_measured_has_a_rate_and_no_error_ratio(pair: Pair) -> None:
    session = pair.controller.sessions["a"]

    def measured() -> list[pb.BlockReport]:
        pair.source.vault.produce(16)
        return [block for one in session.said for link in one.report.links for block in link.blocks]

    await eventually(lambda: bool(measured()))
    assert {block.performance_kind for block in measured()} == {types_pb2.PERFORMANCE_KIND_UNSPECIFIED}
    assert all(block.secret_bit and block.duration_ms for block in measured())


@pytest.mark.parametrize(
    ("fault", "at", "kind"),
    [
        (Fault.DROP, "a", "MODULE_UNREACHABLE"),
        (Fault.UNAUTHORISED, "a", "MODULE_REFUSES"),
        (Fault.NOT_JSON, "c", "MODULE_REFUSES"),
    ],
)
async def test_a_failing_source_is_an_alarm_and_a_link_down_until_it_serves_again(
    pair: Pair, fault: Fault, at: str, kind: str
) -> None:
    await pair.delivered()
    session = pair.controller.sessions[at]
    entity = pair.source.entities[NODES.index(at)]

    entity.order(fault)
    pair.source.vault.produce(100)
    await eventually(lambda: alarm(session, kind, cleared=False))
    down = await session.until(lambda said: said.notification.HasField("link_down"))
    assert down.notification.link_down.status == types_pb2.LINK_STATUS_PASSIVE
    # stored key stays usable
    ours, theirs = await pair.delivered()
    assert ours == theirs

    entity.repair()
    pair.source.vault.produce(100)
    await eventually(lambda: alarm(session, kind, cleared=True))
    await session.until(lambda said: said.notification.HasField("link_up"))


async def test_an_agent_that_is_killed_while_it_fetches_goes_on_with_equal_keys(pair: Pair) -> None:
    # given key under way all the time, and answers that take part of it along
    for number, node in enumerate(("a", "c", "a")):
        pair.source.vault.produce(60)
        pair.source.entities[NODES.index(node)].order(Fault.LATE_DROP, on=("enc_keys", "dec_keys"), times=1)
        before = len(pair.source.entities[NODES.index(node)].asked)
        await eventually(lambda node=node, before=before: len(pair.source.entities[NODES.index(node)].asked) > before)  # type: ignore[misc]
        await pair.agents[node].crash()
        await pair.start(node)
        pair.source.vault.produce(60)
        ours, theirs = await pair.delivered()
        assert ours == theirs, number
    # then both hold the same, and what did not come over is nobody's
    await eventually(lambda: pair.source.vault.stored == [] and pair.stored_bit("a") == pair.stored_bit("c") > 0)
