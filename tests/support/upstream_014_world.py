"""Two ends of a link over one key source, without I/O: the real rules and key planes; the test orders every step."""

import random
import secrets
import uuid
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from southbound.agent.drivers.gs014.master import Master
from southbound.agent.drivers.gs014.slave import Slave
from southbound.agent.drivers.gs014.steps import (
    AskById,
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
)
from southbound.agent.drivers.module import ModuleBlock, ModuleEvent
from southbound.agent.keyplane.events import BlockFinished, Event, PeerDown, PeerUp, Received
from southbound.agent.keyplane.messages import ModuleKeys
from tests.support.keyplane_world import Relay, Wire, World, settings_of

LINK = "a-b"
ENDS = ("a", "b")
WALL_MS = 1_800_000_000_000


@dataclass
class End:
    """The module of one end.

    Attributes:
        after_block: What its disk holds of it.
        result: What came of the last step.
        parked_until_s: It listens until then.
        said: Events that were no block.
    """

    steps: Rules | None = None
    step: Step | None = None
    result: Source | Keys | Failed | ModuleKeys | None = None
    after_block: int | None = None
    stream: int = 0
    words: deque[ModuleKeys] = field(default_factory=deque)
    parked_until_s: float | None = None
    said: list[ModuleEvent] = field(default_factory=list)
    blocks: list[ModuleBlock] = field(default_factory=list)
    fault: Trouble | None = None
    faulty: frozenset[type] = frozenset({AskStatus, AskKeys, AskById})


class SourceWorld(World):
    """The nodes a and b, a link between them whose modules are a 014 source, and a relay over it."""

    def __init__(
        self,
        seed: int = 0,
        *,
        settings: Upstream | None = None,
        at_once: int = 32,
        most: int = 10_000,
        relay: bool = True,
    ) -> None:
        super().__init__(seed)
        self.modules = {node: End() for node in ENDS}
        self.settings = settings or Upstream(sae="x", peer_sae="y")
        self.at_once = at_once
        self.most = most
        self.stored: list[tuple[str, bytes]] = []
        self.waiting: dict[str, bytes] = {}
        self.named: dict[int, tuple[str, ...]] = {}
        self.begun_again = False
        """A number was told with two sets of keys."""
        self.chance = random.Random(seed)
        self._streams_ever = 0
        wires = (Wire(LINK, ENDS),)
        relays = (Relay("r", "a", wires),) if relay else ()
        self.add(*ENDS)
        for node in ENDS:
            self.configure(node, settings_of(node, wires, relays))

    # ------------------------------------------------------------ the source

    def produce(self, number: int, size_bit: int = 256) -> None:
        self.stored += [(str(uuid.uuid4()), secrets.token_bytes(size_bit // 8)) for _ in range(number)]
        del self.stored[self.most :]

    def expire(self) -> None:
        self.waiting.clear()

    def _source(self, end: End, step: AskStatus | AskKeys | AskById) -> Source | Keys | Failed:
        if end.fault is not None and type(step) in end.faulty:
            return Failed(trouble=end.fault, reason=f"ordered: {end.fault.name}")
        match step:
            case AskStatus():
                return Source(
                    key_size_bit=256, stored_keys=len(self.stored), max_keys=self.most,
                    keys_per_request=self.at_once, min_key_size_bit=64, max_key_size_bit=4096,
                )  # fmt: skip
            case AskKeys(number=number):
                assert number <= self.at_once
                if number > len(self.stored):
                    return Failed(trouble=Trouble.NO_KEY, reason="503")
                taken, self.stored[:number] = self.stored[:number], []
                self.waiting |= dict(taken)
                return _keys(taken)
            case AskById(key_ids=key_ids):
                assert len(key_ids) <= self.at_once
                if not all(key_id in self.waiting for key_id in key_ids):
                    return Failed(trouble=Trouble.REFUSES, reason="400")
                return _keys([(key_id, self.waiting.pop(key_id)) for key_id in key_ids])

    # ------------------------------------------------------------ the modules

    def start(self, name: str) -> None:
        super().start(name)
        end, rules = self.modules[name], (Master if name == "a" else Slave)
        end.steps = rules(self.settings, link=LINK, last_block=end.after_block, chance=self.chance.random).run()
        end.step, end.result, end.parked_until_s, end.stream = next(end.steps), None, None, 0
        end.words.clear()

    def crash(self, name: str) -> None:
        end = self.modules[name]
        end.steps = None
        super().crash(name)

    def handle(self, name: str, event: Event, *, crash: str = "") -> None:
        end = self.modules[name]
        match event:
            case Received(message=ModuleKeys() as word):
                if end.steps is not None:
                    end.words.append(word)
                if crash:
                    self.crash(name)
                return
            case PeerUp():
                self._streams_ever += 1
                end.stream = self._streams_ever
                end.words.clear()
                end.parked_until_s = None
            case PeerDown():
                end.stream = 0
                end.words.clear()
                end.parked_until_s = None
            case _:
                pass
        super().handle(name, event, crash=crash)

    def ready(self) -> list[str]:
        """Return the ends whose module can take a step now."""
        return [
            node
            for node, end in self.modules.items()
            if end.steps is not None and (end.parked_until_s is None or end.words or end.parked_until_s <= self.now_s)
        ]

    def advance(self, name: str, *, crash: str = "") -> None:
        """Let a module finish the step at hand, and go to the next; `crash` kills its node around what that does."""
        end = self.modules[name]
        assert end.steps is not None
        if not self._take(name, end, crash):
            return
        stored = next((one.stored_bit for one in self.sites[name].running.figures().links if one.link == LINK), 0)
        scene = Scene(
            now_s=self.now_s,
            wall_ms=WALL_MS + round(1000 * self.now_s),
            stream=end.stream,
            stored_bit=stored,
            result=end.result,
        )
        end.result = None
        end.step = end.steps.send(scene)
        end.parked_until_s = self.now_s + end.step.seconds if isinstance(end.step, Listen) else None

    def _take(self, name: str, end: End, crash: str) -> bool:
        """Do what a step says; return whether the node still runs."""
        match end.step:
            case AskStatus() | AskKeys() | AskById() as step:
                if crash != "before":
                    end.result = self._source(end, step)
            case Tell(word=word):
                self._told(name, end, word)
            case Listen():
                end.result = end.words.popleft() if end.words else None
            case ModuleBlock() as block:
                end.blocks.append(block)
                event = BlockFinished(now_s=self.now_s, link=LINK, block=block.block, key=block.key, measured=None)
                if crash != "before":
                    end.after_block = block.block
                self.handle(name, event, crash=crash)
                return not crash
            case None:
                raise AssertionError("no step")
            case said:
                end.said.append(said)
        if crash:
            self.crash(name)
        return not crash

    def _told(self, name: str, end: End, word: ModuleKeys) -> None:
        if word.key_ids:
            self.begun_again |= self.named.setdefault(word.block, word.key_ids) != word.key_ids
        queues = self.streams.get(frozenset(ENDS))
        if queues is not None:
            queues["b" if name == "a" else "a"].append(word)

    # ------------------------------------------------------------ time

    def quieten(self, *, limit: int = 5000) -> None:
        """Let everything happen that can without time passing."""
        self.connect()
        for _ in range(limit):
            doings: Sequence[tuple[str, ...]] = [*self.moves(), *((node,) for node in self.ready())]
            if not doings:
                return
            one = self.chance.choice(doings)
            if len(one) == 1:
                self.advance(one[0])
            else:
                self.move(*one)
        raise AssertionError(f"still busy after {limit} steps")

    def elapse(self, seconds: float) -> None:
        """Let time pass."""
        until_s = self.now_s + seconds
        self.quieten()
        while True:
            waits = [
                end.parked_until_s for end in self.modules.values() if end.steps and end.parked_until_s is not None
            ]
            waits += [site.wake_s for site in self.sites.values() if site.plane is not None]
            if not waits or min(waits) > until_s:
                break
            self.now_s = max(self.now_s, min(waits))
            for name, site in self.sites.items():
                if site.plane is not None and site.wake_s <= self.now_s:
                    self.tick(name)
            self.quieten()
        self.now_s = until_s

    def stored_bit(self, node: str) -> int:
        return next((one.stored_bit for one in self.sites[node].running.figures().links), 0)


def _keys(pairs: Sequence[tuple[str, bytes]]) -> Keys:
    return Keys(keys=tuple(Key(key_id=key_id, data=bytearray(data)) for key_id, data in pairs))
