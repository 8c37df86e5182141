"""A link whose key comes from a GS QKD 014 source at each end: takes the steps that the rules ask for."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable

from southbound.agent.clock import CarriedWall, Clock
from southbound.agent.drivers.gs014.client import Access, Client
from southbound.agent.drivers.gs014.master import Master
from southbound.agent.drivers.gs014.slave import Slave
from southbound.agent.drivers.gs014.steps import (
    AskById,
    AskKeys,
    AskStatus,
    Failed,
    Keys,
    Listen,
    Scene,
    Source,
    Tell,
    Upstream,
)
from southbound.agent.drivers.module import FarEnd, ModuleEvent
from southbound.agent.keyplane.messages import ModuleKeys


class Gs014Module:
    """One end of such a link; `master` names the node that fetches first, "" for the smaller name."""

    def __init__(
        self,
        link: str,
        access: Access,
        settings: Upstream,
        clock: Clock,
        *,
        master: str = "",
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._link = link
        self._access = access
        self._settings = settings
        self._clock = clock
        self._master = master
        self._chance = chance
        self._far: FarEnd | None = None

    def meet(self, far: FarEnd) -> None:
        """Take the other end."""
        self._far = far

    async def events(self, after_block: int | None) -> AsyncIterator[ModuleEvent]:
        """Yield what the rules say, taking the other steps in between."""
        far = self._far
        if far is None:
            raise RuntimeError("events() before meet()")
        rules = Master if far.node == (self._master or min(far.node, far.neighbour)) else Slave
        steps = rules(self._settings, link=self._link, last_block=after_block, chance=self._chance).run()
        # A clock that was set back must not make old keys of new ones.
        wall = CarriedWall(self._clock)
        async with Client(self._access) as client:
            step = next(steps)
            while True:
                result: Source | Keys | Failed | ModuleKeys | None = None
                match step:
                    case AskStatus() | AskKeys() | AskById():
                        result = await client.ask(step)
                    case Tell(word=word):
                        far.tell(word)
                    case Listen(seconds=seconds):
                        result = await far.heard(max(0.0, seconds))
                    case _:
                        yield step
                scene = Scene(
                    now_s=self._clock.boot_s(),
                    wall_ms=wall.now_ms(),
                    stream=far.stream,
                    stored_bit=far.stored_bit,
                    result=result,
                )
                step = steps.send(scene)
                await asyncio.sleep(0)
