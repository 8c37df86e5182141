"""The end of a link that fetches keys of a GS QKD 014 source first, and tells the other end which.

A block is durable before its keys are named, so a number that the other end hears of is never given again; keys that
were fetched and not named, because the process died, are used by nobody.
"""

from collections import deque
from collections.abc import Callable, Generator, Sequence
from typing import Final

from southbound.agent.drivers.gs014.health import Health, say
from southbound.agent.drivers.gs014.steps import (
    HIGHEST_BLOCK,
    LEAST_BLOCK_BIT,
    LEAST_STORE_BIT,
    MAX_BLOCK_BIT,
    MAX_KEYS,
    MIN_KEY_BIT,
    NO_KEYS_AT_ONCE,
    AskKeys,
    AskStatus,
    Failed,
    Key,
    Keys,
    Listen,
    Rules,
    Scene,
    Source,
    Step,
    Tell,
    Trouble,
    Upstream,
    answer_to,
    joined,
    wipe,
)
from southbound.agent.drivers.module import ModuleBlock
from southbound.agent.keyplane.messages import ModuleKeys

_REMEMBERED_IDS: Final = 1 << 16
_ANSWER_S: Final = 15.0


def next_block(last: int | None, wall_ms: int) -> int:
    """Return a number above the last one, of the other parity: even and odd blocks are for the two directions.

    Numbers follow the wall clock, so that they go on above all that were ever used also where the store that knew the
    last one was replaced by an old copy.
    """
    number = max(wall_ms, 0 if last is None else last + 1)
    return number + (last is not None and number % 2 == last % 2)


class Master:
    """The end that fetches first. One block is under way at a time."""

    def __init__(self, settings: Upstream, *, link: str, last_block: int | None, chance: Callable[[], float]) -> None:
        """Prepare; `last_block` is the last number that is durable, `chance` gives numbers in [0, 1)."""
        self._settings = settings
        self._link = link
        self._last = last_block
        self._health = Health(settings, chance)
        self._seen: deque[str] = deque(maxlen=_REMEMBERED_IDS)
        self._seen_now: set[str] = set()
        self._drained_ms: int | None = None
        self._drained_s = 0.0
        self._key_s: float | None = None
        self._stored_keys = 0
        self._probing = False

    def run(self) -> Rules:
        """Fetch for ever."""
        scene = yield Listen(0.0)
        while True:
            if scene.stream == 0 or not self._has_room(scene):
                # What piles up at the source meanwhile says nothing about its rate.
                self._drained_ms = None
                self._key_s = None
                scene = yield from self._rest(scene, self._settings.poll_s)
                continue
            if self._key_s is None:
                self._key_s = scene.now_s
            scene = yield AskStatus()
            match scene.result:
                case Source() as source:
                    scene = yield from self._drain(scene, source)
                case Failed() as failed:
                    scene = yield from say(self._health.failed(failed, at_status=True), scene)
            scene = yield from self._rest(scene, self._health.pause_s())

    def _rest(self, scene: Scene, seconds: float) -> Rules:
        until_s, stream = scene.now_s + seconds, scene.stream
        while scene.stream == stream and scene.now_s < until_s:
            scene = yield Listen(until_s - scene.now_s)
            if isinstance(scene.result, ModuleKeys) and scene.result.key_ids:
                scene = yield from self._two_masters(scene, scene.result)
        return scene

    def _two_masters(self, scene: Scene, word: ModuleKeys) -> Rules:
        reason = "both ends fetch keys as master: name one and the same `master` in the files of both"
        scene = yield from say(self._health.failed(Failed(trouble=Trouble.REFUSES, reason=reason)), scene)
        return (yield Tell(answer_to(word, last=word.block, fetched=False)))

    def _has_room(self, scene: Scene) -> bool:
        return scene.stored_bit + LEAST_BLOCK_BIT <= self._settings.store_bit

    def _drain(self, scene: Scene, source: Source) -> Rules:
        """Take what the source had when it was asked, in blocks."""
        size_bit = self._settings.key_size_bit or source.key_size_bit
        if problem := unusable(size_bit, source):
            return (yield from say(self._health.failed(Failed(trouble=Trouble.REFUSES, reason=problem)), scene))
        if self._health.at_status:
            scene = yield from say(self._health.serves(), scene)
        if source.stored_keys > self._stored_keys:
            self._key_s = scene.now_s
        self._stored_keys = source.stored_keys
        least = min(-(-LEAST_BLOCK_BIT // size_bit), max(1, source.max_keys))
        most = max(least, min(self._settings.keys_per_block, MAX_BLOCK_BIT // size_bit, MAX_KEYS))
        if source.stored_keys >= 2 * least:
            # Blocks go to the two directions in turn: one large block would leave the other with nothing.
            most = min(most, -(-source.stored_keys // 2))
        began_ms, span_ms = self._drained_ms, round(1000 * (scene.now_s - self._drained_s))
        drained_s, drained_ms = scene.now_s, scene.wall_ms
        while (left := self._stored_keys) >= least:
            keys: list[Key] = []
            number = least if self._probing else min(most, left)
            scene, failed = yield from self._fetch(scene, keys, number, size_bit, source.keys_per_request)
            if failed is not None and len(keys) < least:
                # They are burnt: nobody was told of them.
                wipe(keys)
                return (yield from say(self._health.failed(failed), scene))
            self._stored_keys -= len(keys)
            span = None
            if began_ms is not None:
                # What the source made since it was drained last is spread evenly over that time.
                parts = (source.stored_keys - left, source.stored_keys - self._stored_keys)
                span = tuple(began_ms + span_ms * part // source.stored_keys for part in parts)
            scene, fine = yield from self._make(scene, keys, size_bit, span)
            if not fine or scene.stream == 0 or not self._has_room(scene):
                self._drained_ms = None
                return scene
        self._drained_ms, self._drained_s = drained_ms, drained_s
        if self._key_s is not None and scene.now_s - self._key_s > self._settings.quiet_s:
            reason = f"the key source has had no new key for {self._settings.quiet_s:g} s"
            scene = yield from say(self._health.stopped(reason), scene)
        return scene

    def _fetch(
        self, scene: Scene, keys: list[Key], number: int, size_bit: int, at_once: int
    ) -> Generator[Step, Scene, tuple[Scene, Failed | None]]:
        """Fetch so many keys into a list, as many at once as the source allows; stop at what fails."""
        while len(keys) < number:
            scene = yield AskKeys(min(at_once, number - len(keys)), size_bit)
            match scene.result:
                case Keys(keys=got):
                    if self._known(got) or len({bytes(key.data) for key in (*keys, *got)}) < len(keys) + len(got):
                        wipe((*keys, *got))
                        keys.clear()
                        reason = "the key source gave the same key, or key id, twice: none of them is used"
                        return scene, Failed(trouble=Trouble.REFUSES, reason=reason)
                    keys.extend(got)
                case Failed() as failed:
                    return scene, failed
        return scene, None

    def _known(self, keys: Sequence[Key]) -> bool:
        """Tell whether an id was given before, and remember them all."""
        ids = [key.key_id.lower() for key in keys]
        known = len(set(ids)) < len(ids) or not self._seen_now.isdisjoint(ids)
        for key_id in ids:
            if len(self._seen) == self._seen.maxlen:
                self._seen_now.discard(self._seen[0])
            self._seen.append(key_id)
            self._seen_now.add(key_id)
        return known

    def _make(
        self, scene: Scene, keys: Sequence[Key], size_bit: int, span: tuple[int, ...] | None
    ) -> Generator[Step, Scene, tuple[Scene, bool]]:
        """Hand over a block, and only then tell of it; return whether the other end has it too."""
        number = self._last = next_block(self._last, scene.wall_ms)
        word = ModuleKeys(
            link=self._link,
            block=number,
            key_ids=tuple(key.key_id for key in keys),
            key_size_bit=size_bit,
            end_time_ms=0 if span is None else span[1],
        )
        scene = yield ModuleBlock(
            block=number,
            key=joined(keys),
            qber=None,
            end_time_ms=scene.wall_ms if span is None else span[1],
            duration_ms=0 if span is None else max(1, span[1] - span[0]),
            history=span is None,
        )
        stream, until_s = 0, scene.now_s
        while True:
            if scene.stream != stream and scene.stream:
                scene = yield Tell(word)
                until_s = scene.now_s + _ANSWER_S
            stream = scene.stream
            if stream and scene.now_s >= until_s:
                reason = f"the other end did not answer within {_ANSWER_S:g} s"
                break
            # A stream that ends takes the word with it: told again on the next one.
            scene = yield Listen(until_s - scene.now_s if stream else self._settings.poll_s)
            match scene.result:
                case ModuleKeys(key_ids=()) as answer if answer.block >= number:
                    if answer.block == number and answer.key_size_bit == size_bit:
                        self._probing, self._key_s = False, scene.now_s
                        return (yield from say(self._health.fine(), scene)), True
                    # A number that no clock gives leaves none to go on with: that end is not believed.
                    self._last = answer.block if answer.block <= HIGHEST_BLOCK else number
                    reason = "the other end could not get the keys from its source: see its alarms"
                    break
                case ModuleKeys() as theirs if theirs.key_ids:
                    scene = yield from self._two_masters(scene, theirs)
        self._probing = True
        self._drained_ms = None
        return (yield from say(self._health.failed(Failed(trouble=Trouble.FAR, reason=reason)), scene)), False


def unusable(size_bit: int, source: Source) -> str:
    """Return why keys of that size cannot be had or used, "" if they can."""
    if not source.min_key_size_bit <= size_bit <= source.max_key_size_bit:
        return (
            f"the key source gives keys of {source.min_key_size_bit} to {source.max_key_size_bit} bit, "
            f"not of {size_bit}: set `key_size_bit` at both ends"
        )
    if size_bit % 8 or not MIN_KEY_BIT <= size_bit <= MAX_BLOCK_BIT:
        return f"the key source's keys have {size_bit} bit, no multiple of 8 from {MIN_KEY_BIT} up: set `key_size_bit`"
    if source.max_keys * size_bit < LEAST_STORE_BIT:
        return f"the key source stores {source.max_keys} keys at most, and a block takes {LEAST_STORE_BIT} bit of them"
    if source.keys_per_request < 1:
        return NO_KEYS_AT_ONCE
    return ""
