"""The simulated module: both ends agree without talking, numbers never repeat, faults hit both ends alike."""

import asyncio
from contextlib import aclosing
from dataclasses import replace
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.config.link_section import LinkSimulation
from controller.domain.link import Basis, Provenance
from southbound.agent.clock import SystemClock
from southbound.agent.drivers.module import ChannelDown, ChannelUp, ModuleBlock, ModuleEvent
from southbound.agent.drivers.simulated import (
    HISTORY_MAX_BIT,
    Condition,
    SimulatedChannel,
    SimulatedLink,
    SimulatedModule,
)

FIGURES = LinkSimulation(
    block_s=0.05,
    block_secret_bit=10_000,
    qber_mean=0.02,
    qber_drift=0.005,
    drift_period_s=60.0,
    rate_spread=0.05,
    recalibration_every_s=0.0,
    recalibration_s=0.0,
    loss_db=None,
    module=None,
    provenance=Provenance(basis=Basis.ASSUMED, source="test"),
)
LINK = SimulatedLink(link="a-b", seed="net", figures=FIGURES)


async def blocks(module: SimulatedModule, after: int | None, count: int) -> list[ModuleBlock]:
    found: list[ModuleBlock] = []
    async with asyncio.timeout(20), aclosing(cast("Any", module.events(after))) as events:
        async for event in events:
            if isinstance(event, ModuleBlock):
                found.append(event)
            if len(found) == count:
                break
    return found


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**9), st.floats(0.001, 900.0))
def test_a_moment_and_the_newest_block_by_then_fit(block: int, block_s: float) -> None:
    link = replace(LINK, figures=replace(FIGURES, block_s=block_s))
    end_ms = link.end_ms(block)
    assert link.end_ms(link.last_ended(end_ms)) == end_ms
    assert link.end_ms(link.last_ended(end_ms) + 1) > end_ms


async def test_two_modules_that_were_started_apart_make_the_same_blocks() -> None:
    one = SimulatedModule(SimulatedChannel(LINK), SystemClock(), history_s=2)
    other = SimulatedModule(SimulatedChannel(LINK), SystemClock(), history_s=1)
    here, there = await asyncio.gather(blocks(one, None, 45), blocks(other, None, 25))
    ours, theirs = ({block.block: block.key for block in found} for found in (here, there))
    common = ours.keys() & theirs.keys()
    assert len(common) >= 20
    assert all(ours[number] == theirs[number] for number in common)
    assert len({block.key for block in here}) == len(here)


async def test_a_used_store_gets_no_history_and_no_number_again() -> None:
    module = SimulatedModule(SimulatedChannel(LINK), SystemClock(), history_s=2)
    first = await blocks(module, None, 42)
    numbers = [block.block for block in first]
    assert numbers == list(range(numbers[0], numbers[0] + 42))
    assert sum(block.history for block in first) >= 38
    again = await blocks(module, numbers[-1], 2)
    assert again[0].block > numbers[-1]
    assert not any(block.history for block in again)


async def test_a_clock_that_went_back_repeats_no_block() -> None:
    ahead = LINK.last_ended(SystemClock().wall_ms()) + 3
    (block,) = await blocks(SimulatedModule(SimulatedChannel(LINK), SystemClock()), ahead, 1)
    assert block.block == ahead + 1


async def test_the_history_of_a_fast_link_stays_within_its_buffer() -> None:
    link = replace(LINK, figures=replace(FIGURES, block_secret_bit=HISTORY_MAX_BIT // 4, rate_spread=0.0))
    channel = SimulatedChannel(link)
    history = [one for one in await blocks(SimulatedModule(channel, SystemClock()), None, 6) if one.history]
    assert 1 <= len(history) <= 5
    assert sum(8 * len(one.key) for one in history) <= HISTORY_MAX_BIT * 1.05


def test_yield_falls_with_qber_rate_and_recalibration() -> None:
    usual = LINK.secret_bit(7, qber=0.02)
    assert 0 < LINK.secret_bit(7, qber=0.04) < usual
    assert LINK.secret_bit(7, qber=0.2) == 0
    assert abs(LINK.secret_bit(7, qber=0.02, factor=0.5) - usual / 2) <= 8
    pausing = replace(LINK, figures=replace(FIGURES, recalibration_every_s=1.0, recalibration_s=0.5))
    yields = [pausing.secret_bit(block, qber=0.02) for block in range(40)]
    assert yields.count(0) == 20
    assert all(bits % 8 == 0 for bits in yields)


async def test_a_cut_stops_blocks_until_a_whole_one_passed_after_the_repair() -> None:
    channel, clock = SimulatedChannel(LINK), SystemClock()
    seen: list[ModuleEvent] = []
    up = asyncio.Event()

    async def watch() -> None:
        async with aclosing(cast("Any", SimulatedModule(channel, clock).events(0))) as events:
            async for event in events:
                seen.append(event)
                if isinstance(event, ChannelDown):
                    channel.order(Condition(), clock.wall_ms())
                elif isinstance(event, ModuleBlock) and any(isinstance(one, ChannelUp) for one in seen):
                    up.set()
                    return

    channel.order(Condition(cut=True), clock.wall_ms())
    async with asyncio.timeout(10):
        await asyncio.gather(watch(), up.wait())
    down, back, block = seen
    assert isinstance(down, ChannelDown)
    assert "simulated" in down.reason
    assert isinstance(back, ChannelUp)
    assert isinstance(block, ModuleBlock)


def test_a_fault_between_the_two_ends_asking_gives_both_the_same_block() -> None:
    channel = SimulatedChannel(LINK)
    number = LINK.last_ended(SystemClock().wall_ms())
    first = channel.block(number)
    channel.order(Condition(factor=0.1), SystemClock().wall_ms())
    assert channel.block(number) is first
    following = channel.block(number + 1)
    assert first is not None
    assert following is not None
    assert len(following.key) < len(first.key) / 5


def test_key_is_not_shown() -> None:
    block = SimulatedChannel(LINK).block(10)
    assert block is not None
    assert block.key.hex()[:16] not in repr(block)
    assert repr(block.key)[2:20] not in repr(block)
