"""A simulated QKD module: both ends of a link derive the same blocks from a seed and the wall clock.

There is no quantum channel and no secrecy here: whoever knows the topology file knows every bit. Block n ends at
epoch + n * block_s on the wall clock, and its bits are SHAKE-256 of seed, link and n, so two agents agree
without talking, whenever each was started.
"""

import asyncio
import hashlib
import math
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

from controller.config.link_section import LinkSimulation
from controller.config.profiles import expected_block
from controller.physics.basics import key_fraction
from southbound.agent.clock import Clock
from southbound.agent.drivers.module import ChannelDown, ChannelUp, ModuleBlock, ModuleEvent

DEFAULT_EPOCH_MS: Final = 1_767_225_600_000
"""2026-01-01T00:00:00Z: block 0 of every simulated link ended then."""

HISTORY_S: Final = 3600.0
"""How long the module of a store that was never used has run already."""

HISTORY_MAX_BIT: Final = 1 << 23
"""Bound of the key that such a history leaves: modules buffer no more, and the first start stays quick."""

_REMEMBERED_BLOCKS: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedLink:
    """What both ends of a simulated link know.

    Attributes:
        link: Its name.
        seed: Of its bits; the same at both ends.
        epoch_ms: End of block 0; wall clock.
        figures: How its modules behave.
    """

    link: str
    seed: str
    figures: LinkSimulation
    epoch_ms: int = DEFAULT_EPOCH_MS

    def end_ms(self, block: int) -> int:
        """Return when a block finishes; wall clock."""
        return self.epoch_ms + round(block * self.figures.block_s * 1000)

    def last_ended(self, wall_ms: int) -> int:
        """Return the newest block that has finished by then; below 0 before the epoch."""
        block = math.floor((wall_ms - self.epoch_ms) / (self.figures.block_s * 1000))
        # Ends are rounded to milliseconds, so the guess may be one off either way.
        while self.end_ms(block + 1) <= wall_ms:
            block += 1
        while self.end_ms(block) > wall_ms:
            block -= 1
        return block

    def qber(self, block: int) -> float:
        """Return what the modules measure in a block without faults: the mean, and a slow swing about it."""
        figures = self.figures
        phase = block * figures.block_s / figures.drift_period_s + self._chance("phase", 0)
        return min(0.5, max(0.0, figures.qber_mean + figures.qber_drift * math.sin(2 * math.pi * phase)))

    def secret_bit(self, block: int, *, qber: float, factor: float = 1.0) -> int:
        """Return how many secret bits a block yields, a multiple of 8.

        Args:
            block: Its number; decides its spread, and whether the modules recalibrate in it.
            qber: As measured.
            factor: Part of the light that is left, in [0, 1].
        """
        figures = self.figures
        if self._recalibrating(block):
            return 0
        spread = NormalDist().inv_cdf(min(0.9999, max(0.0001, self._chance("rate", block)))) * figures.rate_spread
        bits = figures.block_secret_bit * max(0.0, 1.0 + spread) * factor * self._yield(qber)
        return int(bits) // 8 * 8

    def key(self, block: int, secret_bit: int) -> bytes:
        """Return the bits of a block."""
        name = f"qinet simulated link\0{self.seed}\0{self.link}\0{block}".encode()
        return hashlib.shake_256(name).digest(secret_bit // 8)

    def _yield(self, qber: float) -> float:
        figures = self.figures
        if qber == figures.qber_mean:
            return 1.0
        if figures.module is None or figures.loss_db is None:
            usual = key_fraction(figures.qber_mean)
            return key_fraction(qber) / usual if usual else float(qber < figures.qber_mean)
        misalignment = min(0.5, max(0.0, figures.module.misalignment + qber - figures.qber_mean))
        drifted = expected_block(figures.module, figures.loss_db, misalignment=misalignment)
        return drifted.secret_bit / figures.block_secret_bit

    def _recalibrating(self, block: int) -> bool:
        figures = self.figures
        if not figures.recalibration_every_s or not figures.recalibration_s:
            return False
        end_s = block * figures.block_s
        return end_s % figures.recalibration_every_s < figures.recalibration_s

    def _chance(self, what: str, block: int) -> float:
        name = f"qinet simulated {what}\0{self.seed}\0{self.link}\0{block}".encode()
        return int.from_bytes(hashlib.sha256(name).digest()[:8], "big") / 2**64


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Faults in force on a channel.

    Attributes:
        cut: No light.
        factor: Part of the rate that is left; in [0, 1].
        qber: What is measured by order; None without one.
    """

    cut: bool = False
    factor: float = 1.0
    qber: float | None = None


class SimulatedChannel:
    """A link's channel, shared by the modules of both ends where both are in one process, so that faults hit both.

    A block that was asked for once stays as it was, or a fault ordered between the two ends' asking would give
    them different bits.
    """

    def __init__(self, link: SimulatedLink) -> None:
        self.link = link
        self.condition = Condition()
        self._cut_until_ms = 0
        self._known: dict[int, ModuleBlock | None] = {}
        self._changed: set[asyncio.Event] = set()

    def order(self, condition: Condition, wall_ms: int) -> None:
        """Put faults in force, from now on and in place of those that were."""
        if self.condition.cut:
            self._cut_until_ms = wall_ms
        self.condition = condition
        for changed in self._changed:
            changed.set()

    def watch(self) -> asyncio.Event:
        """Return an event that is set at each change, until `unwatch`."""
        changed = asyncio.Event()
        self._changed.add(changed)
        return changed

    def unwatch(self, changed: asyncio.Event) -> None:
        """End a watch."""
        self._changed.discard(changed)

    def block(self, number: int, *, history: bool = False) -> ModuleBlock | None:
        """Return a block that has finished; None when the channel was cut in it."""
        if history:
            return self._made(number, Condition(), history=True)
        if number not in self._known:
            started_ms = self.link.end_ms(number - 1)
            lost = self.condition.cut or started_ms < self._cut_until_ms
            self._known[number] = None if lost else self._made(number, self.condition, history=False)
            if len(self._known) > _REMEMBERED_BLOCKS:
                del self._known[next(iter(self._known))]
        return self._known[number]

    def _made(self, number: int, condition: Condition, *, history: bool) -> ModuleBlock:
        link = self.link
        qber = link.qber(number) if condition.qber is None else condition.qber
        return ModuleBlock(
            block=number,
            key=link.key(number, link.secret_bit(number, qber=qber, factor=condition.factor)),
            qber=qber,
            end_time_ms=link.end_ms(number),
            duration_ms=link.end_ms(number) - link.end_ms(number - 1),
            history=history,
        )


class SimulatedModule:
    """One end of a simulated link, in real time."""

    def __init__(self, channel: SimulatedChannel, clock: Clock, *, history_s: float = HISTORY_S) -> None:
        """Attach to a channel; `history_s` is how long the module of a never-used store has run already."""
        self._channel = channel
        self._clock = clock
        self._history_s = history_s

    async def events(self, after_block: int | None) -> AsyncIterator[ModuleEvent]:
        """Yield the blocks as they finish, and the changes of the channel at once."""
        channel, link = self._channel, self._channel.link
        # The wall clock is read once and then carried on by the boot clock: a jump must not stop the module.
        offset_ms = self._clock.wall_ms() - self._clock.boot_s() * 1000
        latest = link.last_ended(self._clock.wall_ms())
        if after_block is None:
            for number in self._history(latest):
                if block := channel.block(number, history=True):
                    yield block
        # Blocks that finished while this end was not there are lost to it.
        following = max(latest if after_block is None else after_block, latest) + 1
        changed = channel.watch()
        down = False
        try:
            while True:
                changed.clear()
                if channel.condition.cut is not down:
                    down = channel.condition.cut
                    yield ChannelDown(reason="no light: the fibre is cut (simulated)") if down else ChannelUp()
                    continue
                wait_s = (link.end_ms(following) - offset_ms) / 1000 - self._clock.boot_s()
                if wait_s > 0:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(wait_s):
                            await changed.wait()
                    continue
                if block := channel.block(following):
                    yield block
                following += 1
        finally:
            channel.unwatch(changed)

    def _history(self, latest: int) -> list[int]:
        """Return the blocks of the history, oldest first: the newest ones that a module's buffer holds."""
        link = self._channel.link
        first = max(0, link.last_ended(link.end_ms(latest) - round(self._history_s * 1000)) + 1)
        numbers: list[int] = []
        total_bit = 0
        for number in range(latest, first - 1, -1):
            total_bit += link.secret_bit(number, qber=link.qber(number))
            if numbers and total_bit > HISTORY_MAX_BIT:
                break
            numbers.append(number)
        return numbers[::-1]
