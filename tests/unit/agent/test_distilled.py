"""The driver `simulated-distillation`: two modules that talk make the same key of what was measured."""

import asyncio
from collections.abc import Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

from southbound.agent.drivers.distilled import DRIVER, DistilledModule, SiftWord, simulated_key
from southbound.agent.drivers.module import ChannelDown, ChannelUp, ModuleBlock, ModuleEvent
from southbound.agent.pairs.distillation import Measured


class HandClock:
    boot_id = "boot"

    def __init__(self, step_s: float = 0.3) -> None:
        self.now_s = 100.0
        self.step_s = step_s
        """How far it goes on each time that somebody looks; more than the ends wait between two words."""

    def boot_s(self) -> float:
        self.now_s += self.step_s
        return self.now_s

    def wall_ms(self) -> int:
        return round(self.now_s * 1000)

    def wall_ns(self) -> int:
        return self.wall_ms() * 1_000_000


class End:
    """A module that runs, and what it has said."""

    def __init__(self, node: str, neighbour: str, *, step_s: float = 0.3) -> None:
        self.module = DistilledModule("k", "p", "lab", HandClock(step_s))
        self.node, self.neighbour = node, neighbour
        self.events: list[ModuleEvent] = []
        self.changed = asyncio.Event()

    def meet(self, tell: Callable[[str, SiftWord], None]) -> None:
        self.module.meet(self.node, self.neighbour, tell)

    async def run(self, after: int | None = None) -> None:
        async for event in self.module.events(after):
            self.events.append(event)
            self.changed.set()

    @property
    def blocks(self) -> list[ModuleBlock]:
        return [event for event in self.events if isinstance(event, ModuleBlock)]

    async def until(self, claim: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not claim():
                self.changed.clear()
                await self.changed.wait()


@asynccontextmanager
async def joined(one: End, other: End, *, after: int | None = None) -> Any:
    one.meet(lambda _, word: other.module.hear(word))
    other.meet(lambda _, word: one.module.hear(word))
    tasks = [asyncio.create_task(end.run(after)) for end in (one, other)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def measure(one: End, other: End, pairs: int, error: float = 0.0) -> None:
    chance = Random(2)
    for number in range(pairs):
        bit, bases = chance.randrange(2), chance.choices((True, False), k=2)
        one.module.measured([Measured(1, number, bases[0], bit)])
        other.module.measured([Measured(1, number, bases[1], bit ^ (chance.random() < error))])


async def test_both_ends_make_the_same_key_after_what_they_hold_already() -> None:
    one, other = End("a", "b"), End("b", "a")
    for end in (one, other):
        end.module.configure(block_bit=3000, rate_hz=100.0)
    async with joined(one, other, after=6):
        measure(one, other, 7000, error=0.01)
        await one.until(lambda: bool(one.blocks))
        await other.until(lambda: bool(other.blocks))

    mine, theirs = one.blocks[0], other.blocks[0]
    assert mine.block == theirs.block == 7
    assert mine.key == theirs.key != b""
    assert mine.qber == theirs.qber
    assert 0.0 < (mine.qber or 0.0) < 0.02


async def test_another_seed_makes_another_key_of_the_same_block() -> None:
    assert simulated_key("lab", "k", 5, 1, 256) != simulated_key("field", "k", 5, 1, 256)
    assert simulated_key("lab", "k", 5, 1, 256) != simulated_key("lab", "k", 5, 1, 512)[:32]
    assert DistilledModule.driver == DRIVER == "simulated-distillation"


async def test_a_path_that_is_silent_takes_the_link_down_until_pairs_come_again() -> None:
    one, other = End("a", "b", step_s=4.0), End("b", "a", step_s=4.0)
    for end in (one, other):
        end.module.configure(block_bit=3000, rate_hz=100.0)
    async with joined(one, other):
        await one.until(lambda: bool(one.events))
        (down,) = one.events
        assert isinstance(down, ChannelDown)
        assert down.reason == "entanglementPaths/p delivered no pair for 10 s"
        measure(one, other, 4)
        await one.until(lambda: any(isinstance(event, ChannelUp) for event in one.events))

        one.module.configure(block_bit=0, rate_hz=0.0)
        await one.until(lambda: len(one.events) > 2)
    assert not one.blocks
    last = one.events[-1]
    assert isinstance(last, ChannelDown)
    assert last.reason == "entanglementPaths/p is not set here with link k as its key link"


async def test_a_number_that_comes_again_after_both_stores_were_lost_is_of_another_key() -> None:
    made = []
    for _ in range(2):
        one, other = End("a", "b"), End("b", "a")
        for end in (one, other):
            end.module.configure(block_bit=3000, rate_hz=100.0)
        async with joined(one, other):
            measure(one, other, 7000)
            await one.until(lambda end=one: bool(end.blocks))  # type: ignore[misc]
            await other.until(lambda end=other: bool(end.blocks))  # type: ignore[misc]
        made.append(one.blocks[0])
        assert one.blocks[0].key == other.blocks[0].key
    assert made[0].block == made[1].block == 0
    assert len(made[0].key) == len(made[1].key) > 0
    assert made[0].key != made[1].key
