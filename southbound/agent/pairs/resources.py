"""What the parts of an engine share: time and timers, chance, links, streams, memories, numbers of pairs."""

import math
from random import Random
from typing import Final
from zlib import crc32

from controller.domain.pair_link import PairHardware
from southbound.agent.pairs.effects import Delivered, Effect
from southbound.agent.pairs.links import Link
from southbound.agent.pairs.messages import Message
from southbound.agent.pairs.states import swap_noise
from southbound.agent.pairs.timers import Timers

_SEQUENCE_STEP: Final = 1024


class Resources:
    """What one node has, as its parts see it (`part.Host`, `activation.HeadHost`)."""

    def __init__(
        self, node: str, hardware: PairHardware, random: Random, *, now_s: float, grace_s: float, announce: bool
    ) -> None:
        """Begin without links and streams; see `PairEngine`."""
        self.node = node
        self.hardware = hardware
        self.noise = swap_noise(hardware)
        self.random = random
        self.now_s = now_s
        self.grace_s = grace_s
        self.timers = Timers()
        self.effects: list[Effect] = []
        self.outbox: list[tuple[str, Message]] = []
        self.steps_left = math.inf
        """Timers that are still served before the shell sets it anew: it does where others wait for the processor."""
        self._announce = announce
        self._links: dict[str, Link] = {}
        self._up: set[str] = set()
        self._decay_rates: dict[str, float] = {node: _decay_rate(hardware)}
        self._sequence = 0
        self._sequence_mark = crc32(node.encode()) % _SEQUENCE_STEP
        self._memories_used = 0
        self._offering = False

    @property
    def memories_in_use(self) -> int:
        """Memories taken by pairs, by attempts for them, and by delivered pairs that are kept."""
        return self._memories_used

    def send(self, neighbour: str, message: Message) -> None:
        """See `part.Host`."""
        if neighbour in self._up:
            self.outbox.append((neighbour, message))

    def effect(self, effect: Effect) -> None:
        """See `path_end.EndHost`."""
        if self._announce or not isinstance(effect, Delivered):
            self.effects.append(effect)

    def link(self, name: str) -> Link | None:
        """See `part.Host`."""
        return self._links.get(name)

    def hears(self, neighbour: str) -> bool:
        """See `part.Host`."""
        return neighbour in self._decay_rates and neighbour in self._up

    def sequence(self) -> int:
        """See `part.Host`: never repeats in a life, nor in a later one, which begins at a later time."""
        self._sequence = max(self._sequence + 1, int(self.now_s * 1e6))
        return self._sequence * _SEQUENCE_STEP + self._sequence_mark

    def decay_rate(self, node: str) -> float:
        """See `part.Host`."""
        return self._decay_rates.get(node, 0.0)

    def take_memories(self, wanted: int, *, least: int = 0) -> int:
        """See `part.Host`."""
        free = self.memories_free
        taken = min(wanted, free) if free >= least else 0
        self._memories_used += taken
        return taken

    def free_memories(self, taken: int) -> None:
        """See `part.Host`."""
        self._memories_used -= taken
        if taken and not self._offering:
            # Not at once: whoever gives them back may be about to take them again.
            self._offering = True
            self.timers.at(self.now_s, self._offer_memories)

    @property
    def memories_free(self) -> int:
        """See `part.Host`."""
        return self.hardware.memories - self._memories_used

    def _offer_memories(self) -> None:
        self._offering = False

    def _at(self, now_s: float) -> None:
        # What is due is done as of its own time, however late it is done.
        while (due_s := self.timers.next_due()) <= now_s:
            if self.steps_left <= 0:
                return
            self.now_s = max(self.now_s, due_s)
            self.steps_left -= self.timers.run(self.now_s, self.steps_left)
        self.now_s = max(self.now_s, now_s)


def _decay_rate(hardware: PairHardware) -> float:
    # What is measured at once does not decay.
    return 0.0 if hardware.coherence_s is None or hardware.memories == 0 else 1.0 / hardware.coherence_s
