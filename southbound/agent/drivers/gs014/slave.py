"""The end of a link that fetches from its GS QKD 014 source, by their ids, the keys that the other end names."""

from collections.abc import Callable, Generator
from typing import Final

from southbound.agent.drivers.gs014.health import Health, say
from southbound.agent.drivers.gs014.steps import (
    HIGHEST_BLOCK,
    MAX_BLOCK_BIT,
    MAX_KEYS,
    MIN_KEY_BIT,
    NO_KEYS_AT_ONCE,
    AskById,
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
    is_key_id,
    joined,
    wipe,
)
from southbound.agent.drivers.module import ModuleBlock
from southbound.agent.keyplane.messages import ModuleKeys

_TRIES: Final = 3


class Slave:
    """The end that fetches by id what the master names."""

    def __init__(self, settings: Upstream, *, link: str, last_block: int | None, chance: Callable[[], float]) -> None:
        """Prepare; arguments as for `Master`."""
        self._settings = settings
        self._link = link
        self._last = -1 if last_block is None else last_block
        self._last_fetched = True
        self._health = Health(settings, chance)
        self._chance = chance
        self._at_once = 0
        self._ended_ms = 0

    def run(self) -> Rules:
        """Fetch what is named, for ever."""
        scene = yield Listen(0.0)
        silent_since_s = scene.now_s
        heard = False
        while True:
            if isinstance(scene.result, ModuleKeys) and scene.result.key_ids:
                heard = True
                scene = yield from self._take(scene, scene.result)
            if heard or scene.stream == 0 or scene.stored_bit:
                silent_since_s = scene.now_s
            elif scene.now_s - silent_since_s > self._settings.quiet_s:
                reason = "the other end has named no key yet: is it `master` in the files of both ends?"
                scene = yield from say(self._health.stopped(reason), scene)
            scene = yield Listen(self._settings.quiet_s)

    def _take(self, scene: Scene, word: ModuleKeys) -> Rules:
        if max(word.block, word.end_time_ms) > HIGHEST_BLOCK:
            reason = "the other end named a block of a number, or a time, that no clock gives"
            return (yield from say(self._health.failed(Failed(trouble=Trouble.FAR, reason=reason)), scene))
        if word.block <= self._last:
            fetched = word.block == self._last and self._last_fetched
            return (yield Tell(answer_to(word, last=self._last, fetched=fetched)))
        keys: list[Key] = []
        scene, failed = yield from self._fetch(scene, word, keys)
        self._last, self._last_fetched = word.block, failed is None
        if failed is not None:
            wipe(keys)
            keys.clear()
        duration_ms = word.end_time_ms - self._ended_ms if word.end_time_ms and self._ended_ms else 0
        self._ended_ms = word.end_time_ms
        # Without key the block is void here, and so at the master when the two are compared.
        scene = yield ModuleBlock(
            block=word.block,
            key=joined(keys),
            qber=None,
            end_time_ms=word.end_time_ms or scene.wall_ms,
            duration_ms=max(1, duration_ms),
            history=duration_ms <= 0,
        )
        scene = yield Tell(answer_to(word, last=word.block, fetched=failed is None))
        return (yield from say(self._health.fine() if failed is None else self._health.failed(failed), scene))

    def _fetch(
        self, scene: Scene, word: ModuleKeys, keys: list[Key]
    ) -> Generator[Step, Scene, tuple[Scene, Failed | None]]:
        if problem := _unnameable(word):
            return scene, Failed(trouble=Trouble.REFUSES, reason=problem)
        failed: Failed | None = None
        for attempt in range(_TRIES):
            if attempt:
                scene = yield Listen(self._settings.poll_s * 0.2 * 2.0**attempt * (0.5 + 0.5 * self._chance()))
            scene, failed = yield from self._fetch_rest(scene, word, keys)
            # A refusal is the last word; who only has no key yet, or did not answer, may be asked again.
            if failed is None or failed.trouble is Trouble.REFUSES:
                break
        if failed is not None:
            self._at_once = 0
        return scene, failed

    def _fetch_rest(
        self, scene: Scene, word: ModuleKeys, keys: list[Key]
    ) -> Generator[Step, Scene, tuple[Scene, Failed | None]]:
        if not self._at_once:
            scene = yield AskStatus()
            match scene.result:
                case Source(keys_per_request=0):
                    return scene, Failed(trouble=Trouble.REFUSES, reason=NO_KEYS_AT_ONCE)
                case Source() as source:
                    self._at_once = source.keys_per_request
                case Failed() as failed:
                    return scene, failed
        while len(keys) < len(word.key_ids):
            some = word.key_ids[len(keys) : len(keys) + self._at_once]
            scene = yield AskById(some, word.key_size_bit)
            match scene.result:
                case Keys(keys=got):
                    keys.extend(got)
                case Failed() as failed:
                    return scene, failed
        return scene, None


def _unnameable(word: ModuleKeys) -> str:
    """Return why what the master named cannot be fetched, "" if it can."""
    size_bit = word.key_size_bit
    ids = {key_id.lower() for key_id in word.key_ids}
    block_bit = size_bit * len(word.key_ids)
    if size_bit % 8 or size_bit < MIN_KEY_BIT or block_bit > MAX_BLOCK_BIT or len(word.key_ids) > MAX_KEYS:
        return "the other end named keys of a size or number that no block has"
    if len(ids) < len(word.key_ids) or not all(map(is_key_id, ids)):
        return "the other end named a key twice, or what is no key id"
    return ""
