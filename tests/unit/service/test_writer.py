"""The writer on a real store: what is answered is durable, and nobody waits for an answer in vain."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from apps.restoration import Restoration
from controller.domain.events import AgentConnected, AlarmCleared, ElectionAhead, LinkReport
from controller.domain.key_relay import Demand, KeyRelay
from controller.domain.log import LogRecord
from controller.domain.node import Node
from controller.domain.refusals import AlreadyExists, InvalidValue, Refusal
from controller.domain.snapshot import AgentRecord, ElectionId
from controller.observability.metrics import Metrics
from controller.ports.agents import NO_LIFETIMES
from controller.ports.clock import SystemClock
from controller.ports.store import OutcomeUnknown, Store
from controller.service.app_desk import App
from controller.service.desk import Stopping
from controller.service.requests import ApplyTopology, Create, Delete
from controller.service.writer import Deposed, Writer, WriterDied
from controller.store.memory import Memory, MemoryStore
from controller.store.sqlite import SqliteStore
from controller.wire.entries import entry_to_bytes
from tests.support.networks import line, network


class Pushes:
    """Keeps what the writer pushes, as the agents port."""

    def __init__(self) -> None:
        self.made: list[tuple[dict[str, object], int]] = []

    def push(
        self,
        desired: Mapping[str, Mapping[str, bytes] | None],
        version: int,
        election: ElectionId,
        *,
        remaining_s: Mapping[str, int] = NO_LIFETIMES,
    ) -> None:
        self.made.append((dict(desired), version))


class FaultyStore(MemoryStore):
    """Fails on order: `faults` are raised by the next commits, before or after these were kept."""

    def __init__(self, memory: Memory | None = None) -> None:
        super().__init__(memory)
        self.faults: list[tuple[BaseException, bool]] = []
        self.heads_unknown = 0

    def commit(self, record: LogRecord, expected: int) -> int:
        if not self.faults:
            return super().commit(record, expected)
        fault, kept = self.faults.pop(0)
        if kept:
            super().commit(record, expected)
        raise fault

    def head(self) -> int:
        if self.heads_unknown:
            self.heads_unknown -= 1
            raise OutcomeUnknown("the disk does not answer")
        return super().head()


class Bench:
    """A writer with all that it needs; it ends with the test."""

    def __init__(self, store: Store, apps: list[App] | None = None) -> None:
        self.store = store
        self.pushes = Pushes()
        self.deaths: list[BaseException] = []
        self.dead = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self.writer = Writer(
            store=store,
            apps=[Restoration()] if apps is None else apps,
            encode=entry_to_bytes,
            agents=self.pushes,
            clock=SystemClock(),
            metrics=Metrics(CollectorRegistry()),
            loop=self._loop,
            on_death=self._died,
        )

    def _died(self, death: BaseException) -> None:
        self.deaths.append(death)
        self._loop.call_soon_threadsafe(self.dead.set)


Start = Callable[[Store], Bench]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    benches: list[Bench] = []

    def started(store: Store) -> Bench:
        bench = Bench(store)
        benches.append(bench)
        bench.writer.start()
        return bench

    yield started
    for bench in benches:
        await asyncio.to_thread(bench.writer.stop)
        bench.store.close()


def topology(length: int = 2) -> ApplyTopology:
    snapshot = line(length)
    return ApplyTopology(nodes=snapshot.nodes, links=snapshot.links, network_name="line")


def a_node(name: str) -> Create:
    return Create(document=Node(name=name))


async def test_what_is_answered_is_in_the_store(start: Start, tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store")
    bench = start(store)
    result = await bench.writer.desk.submit(topology())
    assert store.head() == result.revision == bench.writer.desk.published.snapshot.revision
    await asyncio.to_thread(bench.writer.stop)
    store.close()

    again = start(SqliteStore(tmp_path / "store"))
    assert set(again.writer.desk.published.snapshot.nodes) == {"n00", "n01", "n02"}
    assert again.writer.election > bench.writer.election


async def test_every_revision_answered_is_the_one_it_was_committed_as(start: Start) -> None:
    memory = Memory()
    bench = start(MemoryStore(memory))
    with bench.writer.desk.follow(None) as following:
        results = await asyncio.gather(*(bench.writer.desk.submit(a_node(f"n{i}")) for i in range(100)))
        told: list[tuple[int, str]] = []
        async for step in following:
            told += [(step.published.snapshot.revision, key) for (_, key) in step.changes.folded]
            if len(told) == 100:
                break
    assert [key for _, key in told] == [f"n{i}" for i in range(100)]
    assert [revision for revision, _ in told] == [result.revision for result in results]


async def test_an_outcome_unknown_is_settled_by_the_head(start: Start) -> None:
    store = FaultyStore()
    bench = start(store)
    # given a commit that lasts though it failed, and one that does not, and a disk that is silent for a while
    store.faults = [(OutcomeUnknown("i/o"), True)]
    store.heads_unknown = 1
    first = await bench.writer.desk.submit(a_node("a"))
    store.faults = [(OutcomeUnknown("i/o"), False)]
    second = await bench.writer.desk.submit(a_node("b"))
    assert (first.revision, second.revision, store.head()) == (1, 2, 2)
    assert set(store.load().snapshot.nodes) == {"a", "b"}
    assert not bench.deaths


async def test_a_full_disk_is_told_once_with_what_to_do_and_when_it_is_over(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    store = FaultyStore()
    bench = start(store)
    store.faults = [(OutcomeUnknown("disk full"), False)] * 2
    with caplog.at_level("WARNING"):
        await bench.writer.desk.submit(a_node("a"))
    told = [record for record in caplog.records if record.name == "controller.service.writer"]
    assert [record.levelname for record in told] == ["ERROR", "WARNING"]
    assert "free space" in told[0].getMessage()
    assert "disk full" in told[0].getMessage()
    assert told[0].exc_info is None


async def test_a_writer_that_waits_for_its_disk_gives_signs_of_life(start: Start) -> None:
    # otherwise the watchdog would end a process that goes on by itself when there is room again
    store = FaultyStore()
    bench = start(store)
    before = bench.writer.beats
    store.faults = [(OutcomeUnknown("disk full"), False)] * 3
    store.heads_unknown = 2
    await bench.writer.desk.submit(a_node("a"))
    assert bench.writer.beats - before >= 3 + 2 + 1


async def test_a_store_that_refuses_ends_the_writer_and_nobody_is_left_waiting(start: Start) -> None:
    store = FaultyStore()
    bench = start(store)
    store.faults = [(RuntimeError("broken"), False)]
    waiting = [asyncio.create_task(bench.writer.desk.submit(a_node(f"n{i}"))) for i in range(80)]
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(answer) for answer in answers} <= {WriterDied, Stopping}
    assert WriterDied in {type(answer) for answer in answers}
    await bench.dead.wait()
    assert [str(death) for death in bench.deaths] == ["broken"]
    assert not bench.writer.desk.published.snapshot.nodes


async def test_what_cannot_be_stored_is_refused_and_everybody_else_is_served(start: Start) -> None:
    bench = start(MemoryStore())
    answers = await asyncio.gather(
        bench.writer.desk.submit(a_node("a")),
        bench.writer.desk.submit(Create(document=Node(name="b", location="\ud800"))),
        bench.writer.desk.submit(a_node("c")),
        return_exceptions=True,
    )
    assert isinstance(answers[1], InvalidValue)
    assert set(bench.writer.desk.published.snapshot.nodes) == {"a", "c"}


async def test_a_fault_in_what_is_pushed_ends_the_process(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = start(MemoryStore())

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no port")

    monkeypatch.setattr(bench.pushes, "push", broken)
    result = await bench.writer.desk.submit(a_node("a"))
    assert result.revision == 1
    await bench.dead.wait()
    assert [str(death) for death in bench.deaths] == ["no port"]


async def test_stopping_answers_all_that_was_taken_in_and_refuses_the_rest(start: Start) -> None:
    bench = start(MemoryStore())
    waiting = [asyncio.create_task(bench.writer.desk.submit(a_node(f"n{i}"))) for i in range(200)]
    await asyncio.sleep(0)
    await asyncio.to_thread(bench.writer.stop)
    assert len(await asyncio.gather(*waiting)) == 200
    with pytest.raises(Stopping):
        await bench.writer.desk.submit(a_node("late"))


async def test_a_refusal_and_a_trial_change_nothing_and_are_answered(start: Start) -> None:
    bench = start(MemoryStore())
    await bench.writer.desk.submit(topology())
    revision = bench.writer.desk.published.snapshot.revision
    with pytest.raises(AlreadyExists):
        await bench.writer.desk.submit(a_node("n00"))
    trial = await bench.writer.desk.submit(Create(document=Node(name="new"), validate_only=True))
    assert trial.document == Node(name="new")
    assert trial.revision == revision == bench.writer.desk.published.snapshot.revision
    refused: Refusal | None = None
    try:
        demand = Demand(source="n00", target="n02", rate_millibit_per_s=1)
        await bench.writer.desk.submit(Create(document=KeyRelay(name="r", demand=demand)))
    except Refusal as refusal:
        refused = refusal
    assert refused is not None
    assert refused.reason == "NO_ROUTE"


async def test_an_event_is_done_when_its_effect_is_committed(start: Start) -> None:
    bench = start(MemoryStore())
    await bench.writer.desk.submit(topology())
    done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    event = LinkReport(node="n00", link="l00", down_reason="cut")
    assert bench.writer.deliver(
        event, lambda: done.set_result("l00" in bench.writer.desk.published.snapshot.conditions)
    )
    assert await done
    again: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    revision = bench.writer.desk.published.snapshot.revision
    bench.writer.deliver(AlarmCleared(key=("n00", "", "NONE")), lambda: again.set_result(0))
    await again
    assert bench.writer.desk.published.snapshot.revision == revision


async def test_a_node_deleted_and_made_again_in_one_turn_is_taken_out_and_let_in(start: Start) -> None:
    bench = start(MemoryStore())
    await bench.writer.desk.submit(a_node("a"))
    # given that all wait for the writer at once
    first_turn = threading.Event()
    bench.writer.deliver(AlarmCleared(key=("a", "", "NONE")), first_turn.set)
    bench.pushes.made.clear()
    await asyncio.gather(
        bench.writer.desk.submit(Delete(collection="nodes", key="a")), bench.writer.desk.submit(a_node("a"))
    )
    told = [desired["a"] for desired, _ in bench.pushes.made if "a" in desired]
    assert told == [None, {}]


# Others lead


async def test_a_writer_that_most_agents_have_seen_a_higher_election_id_than_its_own_ends_and_writes_no_more(
    start: Start,
) -> None:
    bench = start(MemoryStore())
    await bench.writer.desk.submit(topology())
    revision = bench.store.head()
    assert bench.writer.deliver(ElectionAhead(node="n00", highest_epoch=7, highest_term=1), None)
    await bench.writer.desk.submit(a_node("x"))  # one agent alone stops nobody
    assert bench.store.head() > revision
    revision = bench.store.head()
    for node in ("n01", "n02"):
        bench.writer.deliver(ElectionAhead(node=node, highest_epoch=7, highest_term=1), None)
    await asyncio.wait_for(bench.dead.wait(), 10)
    (death,) = bench.deaths
    assert isinstance(death, Deposed)
    assert "raise-epoch" in str(death)
    with pytest.raises((WriterDied, Stopping)):
        await bench.writer.desk.submit(a_node("y"))
    assert "nodes/y" not in bench.writer.desk.published.snapshot.nodes


async def test_what_a_turn_had_no_time_for_is_done_without_another_event(start: Start) -> None:
    ends = [("ab", "a", "b", 10**6), ("ac", "a", "c", 10**6), ("bc", "b", "c", 10**6)]
    snapshot = network(ends)
    bench = start(MemoryStore())
    await bench.writer.desk.submit(ApplyTopology(nodes=snapshot.nodes, links=snapshot.links, network_name="n"))
    for node in snapshot.nodes:
        record = AgentRecord(node=node, store_id=node, peer_address=f"{node}:1", delivery_address=f"{node}:2")
        bench.writer.deliver(AgentConnected(record=record, version=0, in_force={}), None)
    for number in range(100):
        demand = Demand(source="a", target="b", rate_millibit_per_s=1000)
        await bench.writer.desk.submit(Create(document=KeyRelay(name=f"r{number}", demand=demand)))
    with bench.writer.desk.follow(bench.writer.desk.published.snapshot.revision) as steps:
        bench.writer.deliver(LinkReport(node="a", link="ab", down_reason="cut"), None)
        async with asyncio.timeout(30):
            async for step in steps:
                if all("ab" not in relay.links() for relay in step.published.snapshot.relays.values()):
                    break
