"""Faults of links that make pairs, as a laboratory orders them: agents of a fleet share them, so they hit both ends."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PairCondition:
    """Faults in force on a link of pairs.

    Attributes:
        cut: No light.
        factor: What the success of attempts is multiplied by; in [0, 1].
        werner_factor: What the Werner parameter (4F - 1) / 3 of its pairs is multiplied by; in [0, 1].
    """

    cut: bool = False
    factor: float = 1.0
    werner_factor: float = 1.0


SOUND = PairCondition()


class PairFaults:
    """The faults in force, by link; they outlive the crash of an agent."""

    def __init__(self) -> None:
        self._conditions: dict[str, PairCondition] = {}
        self._watches: list[Callable[[str], None]] = []

    def of(self, link: str) -> PairCondition:
        """Return what is in force on a link."""
        return self._conditions.get(link, SOUND)

    def order(self, link: str, condition: PairCondition) -> bool:
        """Put faults in force, in place of those that were; return whether that changes anything."""
        if condition == self.of(link):
            return False
        self._conditions[link] = condition
        for watch in list(self._watches):
            watch(link)
        return True

    def watch(self, changed: Callable[[str], None]) -> None:
        """Have `changed` called with the link at each change, until `unwatch`."""
        self._watches.append(changed)

    def unwatch(self, changed: Callable[[str], None]) -> None:
        """End a watch."""
        if changed in self._watches:
            self._watches.remove(changed)
