"""The port of a QKD module: what a driver tells the agent of the key that a link's module makes."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, runtime_checkable

from southbound.agent.keyplane.messages import ModuleKeys


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleBlock:
    """A distilled block.

    Attributes:
        block: Its number; rises and never repeats on the link, also over restarts of either end.
        key: The secret bits, the same at both ends; empty when the block yielded none.
        qber: What was measured; ratio in [0, 0.5]; None where the module does not tell.
        end_time_ms: When it finished; wall clock.
        duration_ms: How long it took.
        history: It counts as stored key, not as a measurement: how long it took is not known.
        refused: Why it yielded no key, where the module itself refused it; for a person.
    """

    block: int
    key: bytes = field(repr=False)
    qber: float | None
    end_time_ms: int
    duration_ms: int
    history: bool = False
    refused: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelDown:
    """The module's quantum channel stopped; stored key stays usable. `reason` is for a person."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelUp:
    """The channel works again."""


class Fault(StrEnum):
    """What can be wrong with a module itself; the name of the alarm."""

    MODULE_UNREACHABLE = "MODULE_UNREACHABLE"
    """It gives no answer, or not over a connection that can be trusted."""
    MODULE_REFUSES = "MODULE_REFUSES"
    """It answers, with a refusal or with what cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleFault:
    """The module does not serve; stands until another one, or ModuleSound. `reason` is for a person."""

    kind: Fault
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleSound:
    """The module serves again."""


ModuleEvent = ModuleBlock | ChannelDown | ChannelUp | ModuleFault | ModuleSound


class Module(Protocol):
    """One end of a link."""

    def events(self, after_block: int | None) -> AsyncIterator[ModuleEvent]:
        """Yield what happens, for as long as it is iterated; blocks after that number (None: the very first start)."""


class FarEnd(Protocol):
    """What a module that works hand in hand with the one at the other end of its link is given."""

    @property
    def node(self) -> str:
        """Return the name of the node that the module is at."""

    @property
    def neighbour(self) -> str:
        """Return the name of the node at the other end."""

    @property
    def stream(self) -> int:
        """Return the number of the stream to it, which rises with every new one; 0 while there is none."""

    @property
    def stored_bit(self) -> int:
        """Return how much compared key the link stores here."""

    def tell(self, word: ModuleKeys) -> None:
        """Send a word to the other end's module; it is lost where there is no stream, or the stream ends."""

    async def heard(self, timeout_s: float) -> ModuleKeys | None:
        """Return the next word of the other end's module; None when the stream changed, or after that time."""


@runtime_checkable
class PairedModule(Protocol):
    """A module that talks to the one at the other end. Its blocks are durable before it is asked to go on.

    So it can first hand over a block, and then tell the other end of it.
    """

    def meet(self, far: FarEnd) -> None:
        """Take the other end; called before `events` is."""

    def events(self, after_block: int | None) -> AsyncIterator[ModuleEvent]:
        """Yield what happens, as every module does."""
