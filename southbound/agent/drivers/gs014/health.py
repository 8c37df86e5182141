"""When failures of a key source become the channel's, or an alarm; and how long to wait after them."""

from collections.abc import Callable, Iterable
from typing import Final

from southbound.agent.drivers.gs014.steps import Failed, Rules, Scene, Upstream
from southbound.agent.drivers.module import ChannelDown, ChannelUp, Fault, ModuleEvent, ModuleFault, ModuleSound

_LONGEST_PAUSE_S: Final = 60.0


class Health:
    """Counts failures in a row, and says when they become the channel's, or an alarm."""

    def __init__(self, settings: Upstream, chance: Callable[[], float]) -> None:
        self._settings = settings
        self._chance = chance
        self._down = False
        self._fault: Failed | None = None
        self.failures = 0
        self.at_status = False

    def failed(self, failed: Failed, *, at_status: bool = False) -> list[ModuleEvent]:
        """Take a failure."""
        self.failures += 1
        self.at_status = at_status
        news: list[ModuleEvent] = []
        if self.failures < self._settings.down_after:
            return news
        if isinstance(failed.trouble.value, Fault):
            # Also where only the reason is another one: who repaired the first is told what is left.
            if self._fault != failed:
                self._fault = failed
                news.append(ModuleFault(kind=failed.trouble.value, reason=failed.reason))
        elif self._fault is not None:
            self._fault = None
            news.append(ModuleSound())
        return news + self.stopped(failed.reason)

    def stopped(self, reason: str) -> list[ModuleEvent]:
        """Stop the channel."""
        if self._down:
            return []
        self._down = True
        return [ChannelDown(reason=reason)]

    def serves(self) -> list[ModuleEvent]:
        """Take that the source does what it is asked to, though it may have no key."""
        self.failures = 0
        news: list[ModuleEvent] = [] if self._fault is None else [ModuleSound()]
        self._fault = None
        return news

    def fine(self) -> list[ModuleEvent]:
        """Take that key was made."""
        news = self.serves()
        if self._down:
            self._down = False
            news.append(ChannelUp())
        return news

    def pause_s(self) -> float:
        """Return how long to wait: longer with every failure, and never in step with others."""
        poll_s = self._settings.poll_s
        if self.failures == 0:
            return poll_s * (0.9 + 0.2 * self._chance())
        longest_s = max(poll_s, min(_LONGEST_PAUSE_S, poll_s * 2.0 ** min(self.failures - 1, 16)))
        return longest_s * (0.5 + 0.5 * self._chance())


def say(events: Iterable[ModuleEvent], scene: Scene) -> Rules:
    """Yield events; return the scene after the last."""
    for event in events:
        scene = yield event
    return scene
