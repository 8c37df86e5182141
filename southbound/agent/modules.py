"""Runs the QKD modules of a node's links: their blocks go to the key plane, their faults to the controller."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, cast

from controller.domain.entries import LinkEntry
from southbound.agent.alarms import LINK_DOWN, Alarms
from southbound.agent.clock import Clock
from southbound.agent.drivers.distilled import DistilledModule
from southbound.agent.drivers.module import (
    ChannelDown,
    ChannelUp,
    Fault,
    Module,
    ModuleBlock,
    ModuleEvent,
    ModuleFault,
    ModuleSound,
    PairedModule,
)
from southbound.agent.far_end import FarModule
from southbound.agent.key_room import KeyRoom, RoomClosed
from southbound.agent.keyplane.events import BlockFinished, Event, PeerDown, PeerUp, Received
from southbound.agent.keyplane.messages import Message, ModuleKeys, SiftBatch, SiftKept
from southbound.agent.reports import LinkState
from southbound.agent.storage import PutValue

log = logging.getLogger(__name__)

STORE_MAX_BIT: Final = 1 << 26
"""Key that one end of a link keeps; blocks beyond it are given up, so that an idle link does not fill the disk."""
_BLOCKS_AT_LEAST: Final = 4
"""So many blocks are kept however large they are: each direction of a link needs some of its own to speak at all."""

MODULE_MISSING: Final = "MODULE_MISSING"
BLOCK_WITHOUT_KEY: Final = "BLOCK_WITHOUT_KEY"
_COUNTER: Final = "block/"


@dataclass(slots=True)
class _Running:
    entry: LinkEntry
    task: "asyncio.Task[None]"
    far: FarModule


@dataclass(slots=True)
class _Own:
    module: Module
    after_block: int | None
    state: LinkState = field(default_factory=LinkState)


class Modules:
    """The modules of one node. A module runs while its link is configured and enabled."""

    def __init__(
        self,
        node: str,
        find_module: Callable[[str], Module | None],
        *,
        room: KeyRoom,
        alarms: Alarms,
        clock: Clock,
        values: Mapping[str, str],
        on_change: Callable[[str], None],
        tell: Callable[[str, Message], None],
        spawn: "Callable[[Awaitable[None], str], asyncio.Task[None]]",
        find_distilled: Callable[[str, str], DistilledModule | None] = lambda _link, _path: None,
    ) -> None:
        """Prepare.

        Args:
            node: Whose they are.
            find_module: Gives the module of a link of this node; None where it has none.
            room: Where blocks go.
            alarms: Where faults go.
            clock: For the times of alarms.
            values: What was kept: the number of each link's last block.
            on_change: Called with a link that stopped or began to make key.
            tell: Sends a word to the modules of a neighbour.
            spawn: Runs a task whose failure is the agent's.
            find_distilled: Gives the module of a link whose key is made of the pairs of a path, given both names; None
                where the node has nothing for pairs.
        """
        self._node = node
        self._room = room
        self._alarms = alarms
        self._clock = clock
        self._on_change = on_change
        self._tell = tell
        self._spawn = spawn
        self._streams: dict[str, int] = {}
        self._streams_ever = 0
        self._running: dict[str, _Running] = {}
        self._missing: set[str] = set()
        self._own: dict[str, _Own] = {}
        self._find_module = find_module
        self._find_distilled = find_distilled
        self._values = values

    @property
    def states(self) -> dict[str, LinkState]:
        """Return what each module said that was ever wanted, by link."""
        return {link: own.state for link, own in self._own.items()}

    def configure(self, entries: Mapping[str, LinkEntry]) -> None:
        """Run the modules of these links, as far as they are enabled, and no others."""
        for link, running in list(self._running.items()):
            wanted = entries.get(link)
            now = (running.far.neighbour, running.entry.path)
            if wanted is None or not wanted.enabled or (wanted.neighbour, wanted.path) != now:
                self._running.pop(link).task.cancel()
        for link in self._missing - entries.keys():
            self._missing.discard(link)
            self._alarms.cleared(f"links/{link}", MODULE_MISSING)
        for link, entry in entries.items():
            if link in self._running:
                self._running[link].entry = entry
            elif entry.enabled and self._has_module(link, entry.path):
                far = FarModule(
                    self._node,
                    entry.neighbour,
                    stream=self._streams.get(entry.neighbour, 0),
                    stored_bit=partial(self._stored_bit, link),
                    send=self._tell,
                )
                task = self._spawn(self._run(link, far), f"module-{link}")
                self._running[link] = _Running(entry, task, far)

    def from_peer(self, event: Event) -> bool:
        """Take what comes of a neighbour; tell whether it was for a module, and so is not for the key plane."""
        match event:
            case Received(node=node, message=ModuleKeys() as word):
                running = self._running.get(word.link)
                if running is not None and running.entry.neighbour == node:
                    running.far.hear(word)
                return True
            case Received(node=node, message=(SiftBatch() | SiftKept()) as word):
                running = self._running.get(word.link)
                module = self._own[word.link].module if running is not None else None
                if running is not None and running.entry.neighbour == node and isinstance(module, DistilledModule):
                    module.hear(word)
                return True
            case PeerUp(node=node):
                self._streams_ever += 1
                self._streams[node] = self._streams_ever
            case PeerDown(node=node):
                self._streams.pop(node, None)
            case _:
                return False
        for link, running in self._running.items():
            if running.entry.neighbour == node:
                running.far.streams(self._streams.get(node, 0))
                if isinstance(module := self._own[link].module, DistilledModule) and node in self._streams:
                    module.reconnected()
        return False

    def _has_module(self, link: str, path: str) -> bool:
        own = self._own.get(link)
        if own is None or path != (own.module.path if isinstance(own.module, DistilledModule) else ""):
            module = self._find_distilled(link, path) if path else self._find_module(link)
            if module is None:
                self._missing.add(link)
                problem = "this node has no module for the link: is it in the agent's topology file?"
                if path:
                    problem = (
                        f"the link's key is made of pairs of entanglementPaths/{path}, and this node has no memories"
                    )
                self._alarms.raised(f"links/{link}", MODULE_MISSING, problem, self._clock.wall_ms())
                return False
            kept = self._values.get(_COUNTER + link)
            after = own.after_block if own is not None else None if kept is None else int(kept)
            self._own[link] = _Own(module, after)
        self._alarms.cleared(f"links/{link}", MODULE_MISSING)
        return True

    def tasks(self) -> "list[asyncio.Task[None]]":
        """Return what runs."""
        return [running.task for running in self._running.values()]

    async def _run(self, link: str, far: FarModule) -> None:
        own = self._own[link]
        driver = own.module.driver if isinstance(own.module, DistilledModule) else type(own.module).__name__
        log.info("module starts node=%s link=%s driver=%s after_block=%s", self._node, link, driver, own.after_block)
        if isinstance(own.module, DistilledModule):
            own.module.meet(self._node, far.neighbour, self._tell)
        elif isinstance(own.module, PairedModule):
            own.module.meet(far)
        if own.state.channel_down:
            # Disabled while it was down: it says anew how it is.
            self._note(link, own, ChannelUp())
            self._on_change(link)
        self._clear_faults(f"links/{link}")
        # Every driver is an async generator; closing it at once lets it go of what it watches.
        # A room that is closed takes no more blocks: the agent ends.
        with suppress(RoomClosed):
            async with aclosing(cast("Any", own.module.events(own.after_block))) as events:
                async for event in events:
                    down = own.state.down_reason
                    if isinstance(event, ModuleBlock):
                        await self._take(link, own, event)
                    else:
                        self._note(link, own, event)
                    if bool(own.state.down_reason) is not bool(down):
                        self._on_change(link)

    def _note(self, link: str, own: _Own, event: ModuleEvent) -> None:
        place = f"links/{link}"
        match event:
            case ChannelDown(reason=reason):
                own.state.channel_down = reason
                self._alarms.raised(place, LINK_DOWN, reason, self._clock.wall_ms())
                log.warning("link down node=%s link=%s reason=%s", self._node, link, reason)
            case ChannelUp():
                own.state.channel_down = ""
                self._alarms.cleared(place, LINK_DOWN)
                log.info("link up node=%s link=%s", self._node, link)
            case ModuleFault(kind=kind, reason=reason):
                self._clear_faults(place, but=kind)
                self._alarms.raised(place, kind, reason, self._clock.wall_ms())
                log.warning("module fault node=%s link=%s kind=%s reason=%s", self._node, link, kind, reason)
            case ModuleSound():
                self._clear_faults(place)
                log.info("module serves again node=%s link=%s", self._node, link)

    def _clear_faults(self, place: str, *, but: Fault | None = None) -> None:
        for kind in Fault:
            if kind is not but:
                self._alarms.cleared(place, kind)

    async def _take(self, link: str, own: _Own, block: ModuleBlock) -> None:
        own.state.take(block, self._running[link].entry.qber_limit)
        if block.refused:
            self._alarms.raised(f"links/{link}", BLOCK_WITHOUT_KEY, block.refused, self._clock.wall_ms())
            log.warning("block without key node=%s link=%s why=%s", self._node, link, block.refused)
        elif block.key:
            self._alarms.cleared(f"links/{link}", BLOCK_WITHOUT_KEY)
        key, paired = block.key, isinstance(own.module, PairedModule | DistilledModule)
        if (paired or not block.history) and not has_room(self._stored_bit(link), 8 * len(key)):
            key = b""
        event = BlockFinished(now_s=0.0, link=link, block=block.block, key=key, measured=block.qber)
        # The number is kept together with what the plane makes of the block: it is never handed over again.
        writes = (PutValue(_COUNTER + link, str(block.block)),)
        own.after_block = block.block
        if paired:
            # Its other end is told of it next.
            await self._room.settle(event, writes=writes)
        else:
            await self._room.post(event, writes=writes)

    def _stored_bit(self, link: str) -> int:
        return next((one.stored_bit for one in self._room.figures().links if one.link == link), 0)


def has_room(stored_bit: int, block_bit: int) -> bool:
    """Tell whether an end of a link that stores so much takes one more block of that size."""
    return stored_bit + block_bit <= max(STORE_MAX_BIT, _BLOCKS_AT_LEAST * block_bit)
