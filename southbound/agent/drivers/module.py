"""The port of a QKD module: what a driver tells the agent of the key that a link's module makes."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleBlock:
    """A distilled block.

    Attributes:
        block: Its number; rises and never repeats on the link, also over restarts of either end.
        key: The secret bits, the same at both ends; empty when the block yielded none.
        qber: What was measured; ratio in [0, 0.5].
        end_time_ms: When it finished; wall clock.
        duration_ms: How long it took.
        history: Made before this agent's first start: it counts as stored key, not as a measurement.
    """

    block: int
    key: bytes = field(repr=False)
    qber: float
    end_time_ms: int
    duration_ms: int
    history: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelDown:
    """The module's quantum channel stopped; stored key stays usable. `reason` is for a person."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelUp:
    """The channel works again."""


ModuleEvent = ModuleBlock | ChannelDown | ChannelUp


class Module(Protocol):
    """One end of a link."""

    def events(self, after_block: int | None) -> AsyncIterator[ModuleEvent]:
        """Yield what happens, for as long as it is iterated; blocks after that number (None: the very first start)."""
