"""The pair engine in real time: by turns, with faults told at once and alarms for what it cannot follow."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from controller.domain.entries import LinkEntry, PathEntry
from controller.domain.pair_link import PairHardware, PairModel, PairOption, Regime
from controller.domain.path_plan import HopPlan
from qinet.peer.v1 import pairs_pb2 as pb
from southbound.agent.alarms import Alarms
from southbound.agent.clock import SystemClock
from southbound.agent.notices import Notices
from southbound.agent.pair_faults import PairCondition, PairFaults
from southbound.agent.pair_room import PairRoom

MODEL = PairModel(
    regime=Regime.MEMORY,
    attempt_period_s=0.001,
    memory_pairs=4,
    options=(PairOption(success_probability=0.5, fidelity=0.95),),
)
LINK = LinkEntry(
    link="a-b",
    local_interface=1,
    remote_interface=1,
    neighbour="b",
    neighbour_address="",
    enabled=True,
    authentication_floor_bit=0,
    authentication_rate_millibit_per_s=0,
    qber_limit=0.11,
    key_ttl_s=60,
    entanglement=True,
)
PATH = PathEntry(
    path="p",
    route_version=1,
    nodes=("a", "b"),
    hops=(HopPlan(link="a-b", option=0, memory_pairs=2),),
    hop_lengths_m=(),
    swaps=(),
    regime=Regime.MEMORY,
    lanes=2,
    rate_millihertz=1000,
    fidelity=0.9,
    minimum_fidelity=0.8,
)


class Wire:
    """A stream whose other end is a room, at once; or nobody."""

    def __init__(self, node: str, far: "PairRoom | None" = None) -> None:
        self.node = node
        self.far = far
        self.fill = 0.0
        self.sent: list[pb.PairMessage] = []

    def send_pair(self, message: pb.PairMessage) -> None:
        self.sent.append(message)
        if self.far is not None:
            asyncio.get_running_loop().call_soon(self.far.received, self.node, [message])


class World:
    """Two rooms, and a clock for both that a test turns."""

    def __init__(self) -> None:
        self.now_s = 10.0
        self.faults = PairFaults()
        self.links: list[str] = []
        self.alarms = {node: Alarms(node, Notices()) for node in "ab"}
        self.rooms = {node: self._room(node) for node in "ab"}

    def _room(self, node: str) -> PairRoom:
        return PairRoom(
            node,
            PairHardware(memories=4),
            lambda link: MODEL if link == "a-b" else None,
            self.faults,
            clock=SystemClock(),
            service_s=lambda: self.now_s,
            alarms=self.alarms[node],
            on_link=self.links.append,
            on_path=lambda _: None,
            on_measured=lambda _, __: None,
        )

    def join(self) -> None:
        for node, far in (("a", "b"), ("b", "a")):
            self.rooms[node].configure([replace(LINK, neighbour=far)], [PATH])
        for node, far in (("a", "b"), ("b", "a")):
            self.rooms[node].peer_up(far, Wire(node, self.rooms[far]))

    def kinds(self, node: str) -> set[tuple[str, str]]:
        return {(alarm.object, alarm.kind) for alarm in self.alarms[node].active()}

    async def until(self, claim: Callable[[], bool], *, step_s: float = 0.0) -> None:
        async with asyncio.timeout(10):
            while not claim():
                self.now_s += step_s
                await asyncio.sleep(0.002)

    def close(self) -> None:
        for room in self.rooms.values():
            room.close()


async def test_both_ends_of_a_hop_get_pairs_while_time_goes_by() -> None:
    world = World()
    world.join()
    await world.until(lambda: len(world.rooms["b"].recent) > 20, step_s=0.002)
    world.close()
    ids = [{one.pair for one in room.recent} for room in world.rooms.values()]
    assert len(ids[0] & ids[1]) > 10
    assert world.rooms["a"].memories_in_use == 2


async def test_an_emulation_that_is_behind_goes_on_by_turns_says_so_and_catches_up() -> None:
    world = World()
    world.join()
    room = world.rooms["a"]
    await world.until(lambda: bool(room.recent), step_s=0.002)

    world.now_s += 5.0
    before = room.path_figures()[0].delivered_total
    assert room.late_s > 4.0
    room.look_at_clock()
    assert world.kinds("a") == {("", "EMULATION_LATE")}
    await world.until(lambda: room.path_figures()[0].delivered_total > before)
    assert room.late_s > 1.0  # not all of it at once

    await world.until(lambda: room.late_s < 0.05)
    room.look_at_clock()
    world.close()
    assert world.kinds("a") == set()


async def test_a_cut_is_told_at_both_ends_once_and_stops_the_pairs() -> None:
    world = World()
    world.join()
    await world.until(lambda: bool(world.rooms["b"].recent), step_s=0.002)
    world.links.clear()
    world.faults.order("a-b", PairCondition(cut=True))
    await world.until(lambda: all(room.down_reason("a-b") for room in world.rooms.values()))
    assert world.links == ["a-b", "a-b"]
    assert all(world.kinds(node) == {("links/a-b", "LINK_DOWN")} for node in "ab")
    await world.until(lambda: world.now_s > 20, step_s=0.5)
    before = world.rooms["a"].path_figures()[0].delivered_total
    await world.until(lambda: world.now_s > 25, step_s=0.5)
    assert world.rooms["a"].path_figures()[0].delivered_total == before

    world.faults.order("a-b", PairCondition())
    await world.until(lambda: world.rooms["a"].path_figures()[0].delivered_total > before, step_s=0.002)
    world.close()
    assert world.kinds("a") == set()


async def test_a_fault_ordered_before_the_link_is_set_is_in_force_with_it() -> None:
    world = World()
    world.faults.order("a-b", PairCondition(cut=True))
    world.rooms["a"].configure([LINK], [])
    world.close()
    assert world.rooms["a"].down_reason("a-b")
    assert world.kinds("a") == {("links/a-b", "LINK_DOWN")}


async def test_what_the_node_cannot_follow_raises_an_alarm_until_it_is_gone() -> None:
    world = World()
    room = world.rooms["a"]
    wrong = replace(PATH, nodes=("x", "b"))
    room.configure([LINK, replace(LINK, link="x-y", neighbour="y")], [wrong])
    assert world.kinds("a") == {("links/x-y", "MODULE_MISSING"), (wrong.id, "PATH_REFUSED")}
    assert room.neighbours() == {"b", "y"}
    room.configure([], [])
    world.close()
    assert world.kinds("a") == set()
    assert room.neighbours() == set()


async def test_pairs_wait_where_a_neighbour_does_not_read_for_its_stream_carries_key_too() -> None:
    world = World()
    world.join()
    room, wire = world.rooms["a"], Wire("a", world.rooms["b"])
    room.peer_up("b", wire)
    await world.until(lambda: bool(room.recent), step_s=0.002)
    wire.fill = 0.6
    said = len(wire.sent)
    for _ in range(50):
        world.now_s += 0.01
        await asyncio.sleep(0.002)
    assert len(wire.sent) <= said + 4
    wire.fill = 0.0
    await world.until(lambda: len(wire.sent) > said + 20, step_s=0.002)
    world.close()
