"""How a writer starts: what is left of a service's life goes with the first push, and a full disk is told."""

import asyncio
from collections.abc import Mapping

import pytest
from prometheus_client import CollectorRegistry

from controller.domain.alarm import Severity
from controller.domain.events import DRAINING, AgentConnected
from controller.domain.key_relay import Demand, KeyRelay
from controller.domain.snapshot import AgentRecord, ElectionId
from controller.observability.metrics import Metrics
from controller.ports.agents import NO_LIFETIMES
from controller.ports.clock import SystemClock
from controller.ports.store import OutcomeUnknown, Store, Unusable
from controller.service.agent_desk import agent_connected, agent_lost
from controller.service.requests import ApplyTopology, Create
from controller.service.writer import Writer
from controller.store.memory import Memory, MemoryStore
from controller.wire.entries import entry_to_bytes
from tests.support.networks import line


class Pushes:
    """Keeps the lifetimes that came with each push, as the agents port."""

    def __init__(self) -> None:
        self.lifetimes: list[Mapping[str, int]] = []

    def push(
        self,
        desired: Mapping[str, Mapping[str, bytes] | None],
        version: int,
        election: ElectionId,
        *,
        remaining_s: Mapping[str, int] = NO_LIFETIMES,
    ) -> None:
        self.lifetimes.append(remaining_s)


class FullStore(MemoryStore):
    """Has no room to count a start."""

    def open_term(self) -> ElectionId:
        raise OutcomeUnknown("database or disk is full")


def writer(store: Store, pushes: Pushes) -> Writer:
    return Writer(
        store=store,
        apps=[],
        encode=entry_to_bytes,
        agents=pushes,
        clock=SystemClock(),
        metrics=Metrics(CollectorRegistry()),
        loop=asyncio.get_running_loop(),
        on_death=lambda death: None,
    )


async def test_a_start_that_cannot_be_counted_is_refused_with_the_remedy() -> None:
    with pytest.raises(Unusable, match="See that the disk has room") as refusal:
        writer(FullStore(), Pushes())
    assert refusal.value.reason == "STORE_UNAVAILABLE"


async def test_what_is_left_of_a_relays_life_goes_with_its_entries_also_after_a_restart() -> None:
    snapshot, memory = line(1), Memory()
    demand = Demand(source="n00", target="n01", rate_millibit_per_s=1_000, lifetime_s=600)
    first = Pushes()
    before = writer(MemoryStore(memory), first)
    before.start()
    await before.desk.submit(ApplyTopology(nodes=snapshot.nodes, links=snapshot.links, network_name="line"))
    for node in snapshot.nodes:
        record = AgentRecord(node=node, store_id="s", peer_address="h:1", delivery_address="")
        assert before.deliver(AgentConnected(record=record, version=1, in_force={}), None)
    await before.desk.submit(Create(document=KeyRelay(name="r", demand=demand)))
    await asyncio.to_thread(before.stop)
    (told,) = {left for lifetimes in first.lifetimes for left in lifetimes.values()} & {599, 600, 601}
    again = Pushes()
    after = writer(MemoryStore(memory), again)
    after.start()
    await asyncio.to_thread(after.stop)
    left = again.lifetimes[0]
    assert all(name.startswith("keyRelays/r/") for name in left)
    assert left
    assert all(told - 60 <= seconds <= told + 1 for seconds in left.values())


def test_an_agent_that_took_its_leave_is_a_minor_alarm_until_it_is_back() -> None:
    snapshot = line(1)
    lost = snapshot.applying(agent_lost("n00", "it was silent", wall_ms=1))
    left = snapshot.applying(agent_lost("n00", DRAINING, wall_ms=1))
    assert {(key[2], alarm.severity) for key, alarm in lost.alarms.items()} == {("AGENT_LOST", Severity.MAJOR)}
    assert {(key[2], alarm.severity) for key, alarm in left.alarms.items()} == {("AGENT_DRAINING", Severity.MINOR)}
    record = AgentRecord(node="n00", store_id="s", peer_address="h:1", delivery_address="")
    back, _ = agent_connected(left, AgentConnected(record=record, version=1, in_force={}), wall_ms=2, now_ms=2)
    assert not left.applying(back).alarms
