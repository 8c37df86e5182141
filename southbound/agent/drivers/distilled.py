"""The driver `simulated-distillation`: the module of a link whose key is made of the pairs of an entanglement path.

The two ends of the path measure its pairs, sift, compare and count (`pairs.distillation`), over the stream that joins
them for the link. Reconciliation and privacy amplification are simulated: the bits of a block are SHAKE-256 of a seed
that both ends' files hold, the link, the block and its length, so that whoever knows the file knows the key; and of
what the far end drew when it began, so that blocks whose numbers come again after the loss of both stores are new key.
"""

import asyncio
import hashlib
import logging
import secrets
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from typing import Final

from southbound.agent.clock import Clock
from southbound.agent.drivers.module import ChannelDown, ChannelUp, ModuleBlock, ModuleEvent
from southbound.agent.keyplane.messages import SiftBatch, SiftKept
from southbound.agent.pairs.distillation import FLUSH_S, KEPT_RECORDS, Distilled, Follower, Leader, Measured

log = logging.getLogger(__name__)

DRIVER: Final = "simulated-distillation"
SiftWord = SiftBatch | SiftKept

_WORDS_KEPT: Final = 16
"""Ends take turns: more wait only where the other one does not keep to the rules."""
_QUIET_S: Final = 10.0
_QUIET_PAIRS: Final = 20.0
"""Without a pair for so long, and as long as so many should take, the link counts as down."""


def simulated_key(seed: str, link: str, epoch: int, block: int, secret_bit: int) -> bytes:
    """Return the bits of a block, a multiple of 8 of them: at both ends the same.

    >>> len(simulated_key("lab", "a-d", 8421, 3, 64))
    8
    """
    name = f"qinet simulated distillation\0{seed}\0{link}\0{epoch}\0{block}\0{secret_bit}".encode()
    return hashlib.shake_256(name).digest(secret_bit // 8)


class DistilledModule:
    """One end of a link whose key is made of pairs."""

    driver: Final = DRIVER

    def __init__(self, link: str, path: str, seed: str, clock: Clock) -> None:
        """Prepare.

        Args:
            link: Its name.
            path: Of the pairs.
            seed: Of the bits; the same at both ends.
            clock: For the times of blocks.
        """
        self.path = path
        self._link = link
        self._seed = seed
        self._clock = clock
        self._node = self._neighbour = ""
        self._tell: Callable[[str, SiftWord], None] = lambda _node, _word: None
        self._outcomes: deque[Measured] = deque(maxlen=KEPT_RECORDS)
        self._words: deque[SiftWord] = deque(maxlen=_WORDS_KEPT)
        self._arrived = asyncio.Event()
        self._block_bit = 0
        self._rate_hz = 0.0
        self._measured_s = clock.boot_s()
        self._rules: Follower | Leader | None = None

    @property
    def sifted_bit(self) -> int:
        """Return how many bits the block that is being filled has."""
        return 0 if self._rules is None else self._rules.sifted_bit

    def meet(self, node: str, neighbour: str, tell: Callable[[str, SiftWord], None]) -> None:
        """Take whose module it is, and the other end; called before `events` is."""
        self._node, self._neighbour, self._tell = node, neighbour, tell

    def hear(self, word: SiftWord) -> None:
        """Take a word of the other end."""
        self._words.append(word)
        self._arrived.set()

    def reconnected(self) -> None:
        """Take that another stream to the other end stands: what was said last may be lost."""
        if isinstance(self._rules, Follower):
            self._rules.repeat()

    def configure(self, *, block_bit: int, rate_hz: float) -> None:
        """Take how many sifted bits make a block, and how many pairs per second the path promises; 0: none now."""
        if not self._rate_hz:
            self._measured_s = self._clock.boot_s()
        self._block_bit, self._rate_hz = block_bit, rate_hz

    def measured(self, outcomes: Iterable[Measured]) -> None:
        """Take what was measured here."""
        self._outcomes.extend(outcomes)
        self._measured_s = self._clock.boot_s()

    async def events(self, after_block: int | None) -> AsyncIterator[ModuleEvent]:
        """Yield the blocks as they are done, and whether pairs come."""
        leads = self._node < self._neighbour
        rules: Follower | Leader
        rules = Leader(self._link, after_block) if leads else Follower(self._link, _epoch(), after_block)
        self._rules = rules
        log.info(
            "key of pairs node=%s link=%s path=%s driver=%s leads=%s", self._node, self._link, self.path, DRIVER, leads
        )
        offset_ms = self._clock.wall_ms() - self._clock.boot_s() * 1000
        began_s = self._measured_s = self._clock.boot_s()
        down = ""
        while True:
            now_s = self._clock.boot_s()
            if (silent := self._silent(now_s)) != down:
                down = silent
                yield ChannelDown(reason=down) if down else ChannelUp()
            rules.measured(self._drained())
            while self._words:
                done = _hear(rules, self._words.popleft(), now_s)
                if done is not None:
                    yield self._block(done, began_s, now_s, offset_ms)
                    began_s = now_s
            said = rules.due(now_s, self._block_bit) if isinstance(rules, Leader) else rules.due(now_s)
            if said is not None:
                self._tell(self._neighbour, said)
            self._arrived.clear()
            if not self._words:
                with suppress(TimeoutError):
                    async with asyncio.timeout(FLUSH_S):
                        await self._arrived.wait()

    def _drained(self) -> list[Measured]:
        outcomes = list(self._outcomes)
        self._outcomes.clear()
        return outcomes

    def _silent(self, now_s: float) -> str:
        quiet_s = max(_QUIET_S, _QUIET_PAIRS / self._rate_hz) if self._rate_hz > 0.0 else _QUIET_S
        if now_s - self._measured_s < quiet_s:
            return ""
        if self._rate_hz <= 0.0:
            return f"entanglementPaths/{self.path} is not set here with link {self._link} as its key link"
        return f"entanglementPaths/{self.path} delivered no pair for {quiet_s:.0f} s"

    def _block(self, done: Distilled, began_s: float, now_s: float, offset_ms: float) -> ModuleBlock:
        counts, secret_bit = done.counts, done.counts.secret_bit()
        log.info(
            "block of pairs link=%s block=%d driver=%s sifted_bit=%d error=%.4f secret_bit=%d",
            self._link,
            done.block,
            DRIVER,
            counts.sifted,
            counts.error,
            secret_bit,
        )
        return ModuleBlock(
            block=done.block,
            key=simulated_key(self._seed, self._link, done.epoch, done.block, secret_bit),
            qber=min(0.5, counts.error),
            end_time_ms=round(offset_ms + now_s * 1000),
            duration_ms=max(1, round((now_s - began_s) * 1000)),
            refused=done.refused,
        )


def _hear(rules: Follower | Leader, word: SiftWord, now_s: float) -> Distilled | None:
    if isinstance(rules, Leader):
        return rules.heard(word, now_s) if isinstance(word, SiftBatch) else None
    return rules.heard(word, _epoch()) if isinstance(word, SiftKept) else None


def _epoch() -> int:
    return secrets.randbits(63)
