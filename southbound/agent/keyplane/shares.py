"""XOR shares of a payload: split at its origin, put together at its far end, in memory only.

k - 1 shares are fresh random bits and the last one is the payload with all of them put on: any k - 1 say nothing of
it. What came of a chunk waits for the rest of its shares, of the same version, and is wiped when it was waited for
long enough, when its chunk is void, and when too much waits.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import reduce
from typing import Final

from southbound.agent.keyplane.gf128 import exclusive_or
from southbound.agent.keyplane.settings import RelayHop
from southbound.agent.keyplane.ways import CHUNK_TIMEOUT_S, IN_FLIGHT

PARTIAL_TIMEOUT_S: Final = CHUNK_TIMEOUT_S
PARTIALS_KEPT: Final = 2 * IN_FLIGHT
"""Of one relay: the origin has at most so many under way on a version, and versions take turns."""
_IDS_KEPT: Final = 256


def split(payload: bytes, chance: bytes) -> tuple[bytes, ...]:
    """Return the shares of a payload, one more than `chance` (fresh random bits, used for nothing else) makes.

    >>> shares = split(b"abc", bytes([1, 2, 3, 4, 5, 6]))
    >>> len(shares), together(shares)
    (3, b'abc')

    Raises:
        ValueError: `chance` is not a whole number of payloads long.
    """
    size = len(payload)
    if len(chance) % size:
        raise ValueError(f"{len(chance)} random bytes do not make shares of {size} bytes")
    random_shares = tuple(chance[at : at + size] for at in range(0, len(chance), size))
    return (*random_shares, reduce(exclusive_or, random_shares, payload))


def together(shares: tuple[bytes, ...]) -> bytes:
    """Return the payload, given all of its shares."""
    return reduce(exclusive_or, shares)


@dataclass(slots=True)
class Partial:
    """What came of one chunk by one version."""

    version: int
    chunk_id: int
    first_s: float
    shares: dict[int, bytearray] = field(default_factory=dict, repr=False)

    def wipe(self) -> None:
        """Blank what came."""
        for share in self.shares.values():
            share[:] = bytes(len(share))


class Assembly:
    """The partials of one relay at its far end."""

    def __init__(self) -> None:
        self._partials: dict[tuple[int, int], Partial] = {}

    def add(self, hop: RelayHop, chunk_id: int, payload: bytes, now_s: float) -> bytes | Partial | None:
        """Keep a share; return the payload if it was the last one missing, else the partial, None for one had before.

        Only shares of one version ever meet: during a change of routes an old and a new one may have crossed one node.
        """
        key = hop.route_version, chunk_id
        partial = self._partials.get(key)
        if partial is None:
            partial = self._partials[key] = Partial(*key, now_s)
        if hop.share in partial.shares:
            return None
        partial.shares[hop.share] = bytearray(payload)
        if len(partial.shares) < hop.shares:
            return partial
        del self._partials[key]
        payload = together(tuple(bytes(each) for each in partial.shares.values()))
        partial.wipe()
        return payload

    def overflow(self) -> Iterator[Partial]:
        """Take out and wipe the oldest of what is too much."""
        while len(self._partials) > PARTIALS_KEPT:
            yield self._take(next(iter(self._partials)))

    def drop(self, chunk_id: int) -> Iterator[Partial]:
        """Take out and wipe what came of a chunk."""
        for key in [key for key in self._partials if key[1] == chunk_id]:
            yield self._take(key)

    def drop_versions_but(self, versions: tuple[int, ...]) -> Iterator[Partial]:
        """Take out and wipe what came by versions that are no more."""
        for key in [key for key in self._partials if key[0] not in versions]:
            yield self._take(key)

    def expire(self, now_s: float) -> Iterator[Partial]:
        """Take out and wipe what was waited for long enough."""
        for key in [key for key, each in self._partials.items() if now_s >= each.first_s + PARTIAL_TIMEOUT_S]:
            yield self._take(key)

    def due_s(self) -> float:
        """Return when the oldest has waited long enough."""
        return min((each.first_s + PARTIAL_TIMEOUT_S for each in self._partials.values()), default=float("inf"))

    def _take(self, key: tuple[int, int]) -> Partial:
        partial = self._partials.pop(key)
        partial.wipe()
        return partial

    def __len__(self) -> int:
        return len(self._partials)


class SeenIds:
    """Which chunks a far end has had, or must not have: the newest ids by name, everything below them refused.

    Chunks of one origin may overtake each other on several versions and shares, but not by more than an origin has
    under way.
    """

    def __init__(self) -> None:
        self._floor = 0
        self._seen: dict[int, set[int]] = {}
        self._void: set[int] = set()

    def stands(self, chunk_id: int) -> bool:
        """Tell whether a chunk may come: it never came, and is not void."""
        return chunk_id > self._floor and chunk_id not in self._seen

    def twin(self, chunk_id: int, version: int) -> bool:
        """Tell whether a chunk came before, but never by that version (1+1)."""
        came_by = self._seen.get(chunk_id, set())
        return bool(came_by) and version not in came_by and chunk_id not in self._void

    def add(self, chunk_id: int, version: int) -> None:
        """Note that a chunk came by a version."""
        self._enter(chunk_id).add(version)

    def void(self, chunk_id: int) -> None:
        """Note that a chunk must not come, by whatever version."""
        self._enter(chunk_id)
        if chunk_id in self._seen:
            self._void.add(chunk_id)

    def forget_versions_but(self, versions: Iterable[int], held: Iterable[int]) -> None:
        """Forget ids that came only by versions that are no more, and the floor, but not what is held.

        A relay can pass on chunks with ids that nobody made, far above all that ever will be: it must not stop what
        comes by routes that it is not on. What this lets in again its origin voids.
        """
        alive, kept = set(versions), set(held)
        gone = [one for one, came_by in self._seen.items() if came_by and not came_by & alive and one not in kept]
        for chunk_id in gone:
            del self._seen[chunk_id]
        self._void &= self._seen.keys()
        self._floor = 0

    def restore(self, chunk_id: int, version: int) -> None:
        """Take up a chunk that is held: what is older than it and not held was had, or is void."""
        self._seen.setdefault(chunk_id, set()).add(version)
        self._floor = max(self._floor, chunk_id)

    def _enter(self, chunk_id: int) -> set[int]:
        if chunk_id not in self._seen and chunk_id > self._floor:
            self._seen[chunk_id] = set()
            if len(self._seen) > _IDS_KEPT:
                oldest = min(self._seen)
                del self._seen[oldest]
                self._void.discard(oldest)
                self._floor = max(self._floor, oldest)
        return self._seen.get(chunk_id, set())
