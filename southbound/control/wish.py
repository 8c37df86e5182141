"""What is wanted of one node, and what its agent refused of it: what outlives a session."""

from collections.abc import Callable, Mapping
from dataclasses import InitVar, dataclass, field

from controller.domain.entries import digest_of, entry_hash
from southbound.control.settings import ControlSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """The configuration that the writer last pushed for a node.

    Attributes:
        entries: Content by entry id.
        version: Log revision that it was compiled from.
        remaining_s: Life left by entry id, as of `pushed_ms`; entries without a lifetime are not in it.
        pushed_ms: Monotonic.
        before: The wish before it: what did not change is not hashed again.
        hashes, digest: Of the entries.
    """

    entries: Mapping[str, bytes]
    version: int
    remaining_s: Mapping[str, int]
    pushed_ms: int
    before: InitVar["Wish | None"] = None
    hashes: Mapping[str, bytes] = field(init=False)
    digest: bytes = field(init=False)

    def __post_init__(self, before: "Wish | None") -> None:
        known = {} if before is None else before.entries
        hashes = {
            name: before.hashes[name]
            if before is not None and known.get(name) == content
            else entry_hash(name, content)
            for name, content in self.entries.items()
        }
        object.__setattr__(self, "hashes", hashes)
        object.__setattr__(self, "digest", digest_of(self.hashes))

    def end_ms(self, entry_id: str) -> int | None:
        """Return when the entry is to end; monotonic, None when it stays."""
        left = self.remaining_s.get(entry_id)
        return None if left is None else self.pushed_ms + 1000 * left

    def remaining(self, entry_id: str, now_ms: int) -> int | None:
        """Return the seconds of life left, >= 0; None when the entry stays."""
        left = self.remaining_s.get(entry_id)
        return None if left is None else max(0, left - (now_ms - self.pushed_ms) // 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedEntry:
    """One entry's bytes, refused by the agent.

    Attributes:
        hash: Of the refused bytes; other bytes under the id are tried at once.
        times: How often they were refused in a row.
        retry_ms: Not sent again before; monotonic.
    """

    hash: bytes
    code: str
    message: str
    times: int
    retry_ms: int


class RefusedEntries:
    """The refused entries of one node: the same bytes are only sent again after a back-off with jitter.

    Attributes:
        told_end_ms: When each entry that it took was told to end, by id; monotonic, None for one that stays.
    """

    def __init__(self, settings: ControlSettings, jitter: Callable[[], float]) -> None:
        """Start with none.

        Args:
            settings: For the back-off.
            jitter: Gives numbers in [0, 1).
        """
        self._settings = settings
        self._jitter = jitter
        self._refused: dict[str, RefusedEntry] = {}
        self.told_end_ms: dict[str, int | None] = {}

    def delay_ms(self, times: int) -> int:
        """Return how long to wait after something was refused so many times in a row."""
        longest = min(self._settings.retry_most_ms, self._settings.retry_first_ms << min(times - 1, 30))
        return max(1, round(longest * (0.5 + 0.5 * self._jitter())))

    def add(self, entry_id: str, content: bytes, code: str, message: str, now_ms: int) -> None:
        """Note that these bytes were refused now."""
        digest = entry_hash(entry_id, content)
        before = self._refused.get(entry_id)
        times = before.times + 1 if before is not None and before.hash == digest else 1
        self._refused[entry_id] = RefusedEntry(
            hash=digest, code=code, message=message, times=times, retry_ms=now_ms + self.delay_ms(times)
        )

    def applied(self, hashes: Mapping[str, bytes]) -> None:
        """Forget the refusals of what is in force after all."""
        for entry_id in [name for name, refused in self._refused.items() if hashes.get(name) == refused.hash]:
            del self._refused[entry_id]

    def held(self, wish: Wish, now_ms: int) -> tuple[set[str], int | None]:
        """Return the ids of the wish that must not be sent yet, and when the first of them may be."""
        waiting = {
            name: refused.retry_ms
            for name, refused in self._refused.items()
            if now_ms < refused.retry_ms and wish.hashes.get(name) == refused.hash
        }
        return set(waiting), min(waiting.values(), default=None)

    def current(self, wish: Wish) -> dict[str, tuple[str, str]]:
        """Return (code name, message) by id, of what the agent refuses of the wish."""
        return {
            name: (refused.code, refused.message)
            for name, refused in self._refused.items()
            if wish.hashes.get(name) == refused.hash
        }

    def forget_old(self, wish: Wish, now_ms: int) -> None:
        """Drop what is not wished any more and could have been sent again by now."""
        for entry_id in [
            name
            for name, refused in self._refused.items()
            if wish.hashes.get(name) != refused.hash and now_ms >= refused.retry_ms
        ]:
            del self._refused[entry_id]
