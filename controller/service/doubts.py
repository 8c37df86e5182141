"""Links that were measured to make too few or too bad pairs: for how long that counts where nobody measures any more.

Pairs are made, and so measured, only for a path. A weak link that no path uses would stay weak for ever; so after a
while it counts with its model again, and whoever is given it measures anew. Each time that it disappoints, that while
is twice as long.
"""

from collections.abc import Callable, Collection
from typing import Final

from controller.domain.link import LinkCondition

FIRST_MS: Final = 60_000
MOST_DOUBLINGS: Final = 6


def doubtful(condition: LinkCondition) -> bool:
    """Tell whether a link was measured to make fewer or worse pairs than its model.

    >>> doubtful(LinkCondition()), doubtful(LinkCondition(pair_rate_permille=300))
    (False, True)
    """
    rate, loss = condition.pair_rate_permille, condition.pair_fidelity_loss_permille
    return (rate is not None and rate < 1000) or bool(loss)


class Doubts:
    """Not stored: after a start, the while begins anew."""

    def __init__(self) -> None:
        self._unused_since: dict[str, int] = {}
        self._lapses: dict[str, int] = {}
        self._doubted: set[str] = set()

    def decided(self, link: str, condition: LinkCondition | None) -> None:
        """Take in what is decided of a link."""
        if condition is not None and doubtful(condition):
            self._doubted.add(link)
            return
        self._doubted.discard(link)
        self._unused_since.pop(link, None)
        if condition is None or condition.pair_rate_permille is not None:
            self._lapses.pop(link, None)  # it was measured to be as it should

    def lapsing(self, users: Callable[[str], Collection[str]], now_ms: int) -> list[str]:
        """Return the links of which what was measured counts no more now; `users` gives the services on a link."""
        lapsed = []
        for link in sorted(self._doubted):
            if users(link):
                self._unused_since.pop(link, None)
                continue
            since_ms = self._unused_since.setdefault(link, now_ms)
            lapses = self._lapses.get(link, 0)
            if now_ms - since_ms >= FIRST_MS << min(lapses, MOST_DOUBLINGS):
                self._lapses[link] = lapses + 1
                lapsed.append(link)
        return lapsed
