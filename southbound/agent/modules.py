"""Runs the QKD modules of a node's links: their blocks go to the key plane, their faults to the controller."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final, cast

from controller.domain.entries import LinkEntry
from southbound.agent.alarms import LINK_DOWN, Alarms
from southbound.agent.clock import Clock
from southbound.agent.drivers.module import ChannelDown, ChannelUp, Module, ModuleBlock
from southbound.agent.key_room import KeyRoom
from southbound.agent.keyplane.events import BlockFinished
from southbound.agent.reports import LinkState
from southbound.agent.storage import PutValue

log = logging.getLogger(__name__)

STORE_MAX_BIT: Final = 1 << 26
"""Key that one end of a link keeps; blocks beyond it are given up, so that an idle link does not fill the disk."""
_BLOCKS_AT_LEAST: Final = 4
"""So many blocks are kept however large they are: each direction of a link needs some of its own to speak at all."""

MODULE_MISSING: Final = "MODULE_MISSING"
_COUNTER: Final = "block/"


@dataclass(slots=True)
class _Running:
    entry: LinkEntry
    task: "asyncio.Task[None]"


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
        spawn: "Callable[[Awaitable[None], str], asyncio.Task[None]]",
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
            spawn: Runs a task whose failure is the agent's.
        """
        self._node = node
        self._room = room
        self._alarms = alarms
        self._clock = clock
        self._on_change = on_change
        self._spawn = spawn
        self._running: dict[str, _Running] = {}
        self._own: dict[str, _Own] = {}
        self._find_module = find_module
        self._values = values

    @property
    def states(self) -> dict[str, LinkState]:
        """Return what each module said that was ever wanted, by link."""
        return {link: own.state for link, own in self._own.items()}

    def configure(self, entries: Mapping[str, LinkEntry]) -> None:
        """Run the modules of these links, as far as they are enabled, and no others."""
        for link in [link for link in self._running if not (link in entries and entries[link].enabled)]:
            self._running.pop(link).task.cancel()
        for link, entry in entries.items():
            if link in self._running:
                self._running[link].entry = entry
            elif entry.enabled and self._has_module(link):
                task = self._spawn(self._run(link), f"module-{link}")
                self._running[link] = _Running(entry, task)

    def _has_module(self, link: str) -> bool:
        if link not in self._own:
            module = self._find_module(link)
            if module is None:
                problem = "this node has no module for the link: is it in the agent's topology file?"
                self._alarms.raised(f"links/{link}", MODULE_MISSING, problem, self._clock.wall_ms())
                return False
            kept = self._values.get(_COUNTER + link)
            self._own[link] = _Own(module, None if kept is None else int(kept))
        self._alarms.cleared(f"links/{link}", MODULE_MISSING)
        return True

    def tasks(self) -> "list[asyncio.Task[None]]":
        """Return what runs."""
        return [running.task for running in self._running.values()]

    async def _run(self, link: str) -> None:
        own = self._own[link]
        driver = type(own.module).__name__
        log.info("module starts node=%s link=%s driver=%s after_block=%s", self._node, link, driver, own.after_block)
        # Every driver is an async generator; closing it at once lets it go of what it watches.
        async with aclosing(cast("Any", own.module.events(own.after_block))) as events:
            async for event in events:
                down = own.state.down_reason
                match event:
                    case ModuleBlock():
                        await self._take(link, own, event)
                    case ChannelDown(reason=reason):
                        own.state.channel_down = reason
                        self._alarms.raised(f"links/{link}", LINK_DOWN, reason, self._clock.wall_ms())
                        log.warning("link down node=%s link=%s reason=%s", self._node, link, reason)
                    case ChannelUp():
                        own.state.channel_down = ""
                        self._alarms.cleared(f"links/{link}", LINK_DOWN)
                        log.info("link up node=%s link=%s", self._node, link)
                if bool(own.state.down_reason) is not bool(down):
                    self._on_change(link)

    async def _take(self, link: str, own: _Own, block: ModuleBlock) -> None:
        own.state.take(block, self._running[link].entry.qber_limit)
        key = block.key
        if not block.history and not has_room(self._stored_bit(link), 8 * len(key)):
            key = b""
        event = BlockFinished(now_s=0.0, link=link, block=block.block, key=key, measured=block.qber)
        # The number is kept together with what the plane makes of the block: it is never handed over again.
        await self._room.post(event, writes=(PutValue(_COUNTER + link, str(block.block)),))
        own.after_block = block.block

    def _stored_bit(self, link: str) -> int:
        return next((one.stored_bit for one in self._room.figures().links if one.link == link), 0)


def has_room(stored_bit: int, block_bit: int) -> bool:
    """Tell whether an end of a link that stores so much takes one more block of that size."""
    return stored_bit + block_bit <= max(STORE_MAX_BIT, _BLOCKS_AT_LEAST * block_bit)
