"""The other end of a link, as a module that works hand in hand with the one there is given it."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from southbound.agent.keyplane.messages import ModuleKeys

_WORDS_KEPT: Final = 16
"""Ends take turns: more wait only where the other one does not keep to the rules."""


class FarModule:
    """What the module of a link hears from, and tells, the one at the other end; see `drivers.module.FarEnd`."""

    def __init__(
        self,
        node: str,
        neighbour: str,
        *,
        stream: int,
        stored_bit: Callable[[], int],
        send: Callable[[str, ModuleKeys], None],
    ) -> None:
        """Begin; `stream` is the number of the stream that stands, 0 if none does."""
        self._node = node
        self._neighbour = neighbour
        self._stream = stream
        self._stored_bit = stored_bit
        self._send = send
        self._words: deque[ModuleKeys] = deque(maxlen=_WORDS_KEPT)
        self._changed = asyncio.Event()

    @property
    def node(self) -> str:
        """Return whose module it is."""
        return self._node

    @property
    def neighbour(self) -> str:
        """Return whose the other one is."""
        return self._neighbour

    @property
    def stream(self) -> int:
        """Return the number of the stream that stands; 0 for none."""
        return self._stream

    @property
    def stored_bit(self) -> int:
        """Return how much compared key the link stores here."""
        return self._stored_bit()

    def tell(self, word: ModuleKeys) -> None:
        """Send a word to the other one."""
        self._send(self._neighbour, word)

    async def heard(self, timeout_s: float) -> ModuleKeys | None:
        """Return the next word of the other one; None when the stream changed, or after that time."""
        if not self._words:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):  # wait_for may swallow a cancellation, and the task never ends
                    await self._changed.wait()
        self._changed.clear()
        return self._words.popleft() if self._words else None

    def hear(self, word: ModuleKeys) -> None:
        """Take a word of the other one."""
        self._words.append(word)
        self._changed.set()

    def streams(self, number: int) -> None:
        """Take that another stream stands, or none; what came on the last one is over."""
        self._stream = number
        self._words.clear()
        self._changed.set()
