"""A real writer on a store in memory, with a host of os-ken apps beside it."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from prometheus_client import CollectorRegistry

from controller.domain.alarm import Alarm
from controller.domain.events import AgentEvent
from controller.domain.node import Node
from controller.domain.snapshot import ElectionId, Snapshot
from controller.observability.metrics import Metrics
from controller.ports.clock import SystemClock
from controller.service.host.failures import OS_KEN_APP_FAILED
from controller.service.host.native import choose_native_hub
from controller.service.requests import ApplyTopology, Create, Result
from controller.service.writer import Writer
from controller.store.memory import MemoryStore
from controller.wire.entries import entry_to_bytes

choose_native_hub()

from os_ken.base.app_manager import lookup_service_brick  # noqa: E402 (the hub is chosen first)

from controller.service.host.host import Host, HostSettings  # noqa: E402

APPS = "tests.support.os_ken_apps."


class NoAgents:
    """Nobody is told anything (ports.agents.AgentPort)."""

    def push(self, desired: Any, version: int, election: ElectionId, *, remaining_s: Any = None) -> None:
        """Take a wish, and forget it."""


class Hosting:
    """What a test sees of it."""

    def __init__(self, writer: Writer, host: Host, metrics: Metrics) -> None:
        self.writer = writer
        self.host = host
        self.metrics = metrics
        self.openflow: tuple[str, int] | None = None
        self._nodes = 0

    @property
    def snapshot(self) -> Snapshot:
        """Return the network as it was committed last."""
        return self.writer.desk.published.snapshot

    async def commit(self) -> int:
        """Have the writer commit something, and return the revision."""
        self._nodes += 1
        result = await self.writer.desk.submit(Create(document=Node(name=f"extra{self._nodes}")))
        return result.revision

    async def apply(self, network: Snapshot) -> Result:
        """Make the network this one."""
        return await self.writer.desk.submit(
            ApplyTopology(nodes=network.nodes, links=network.links, network_name="net")
        )

    async def tell(self, event: AgentEvent) -> None:
        """Have the writer take an event, and wait until its effect is committed."""
        done = asyncio.Event()
        assert self.writer.deliver(event, done.set)
        await done.wait()

    def app(self, name: str) -> Any:
        """Return the running app whose class has that name."""
        found = lookup_service_brick(name)
        assert found is not None
        return found

    def alarms(self) -> list[Alarm]:
        """Return the alarms about os-ken apps."""
        return [alarm for alarm in self.snapshot.alarms.values() if alarm.kind == OS_KEN_APP_FAILED]

    def value(self, name: str, app: str) -> float:
        """Return a metric of an app of ours; 0 where nothing was counted yet."""
        return self.metrics.registry.get_sample_value(name, {"app": APPS + app}) or 0.0


async def eventually(holds: Callable[[], bool], what: str, within_s: float = 10.0) -> None:
    """Wait until something holds; it is looked at often, since nobody tells of it."""
    end = asyncio.get_running_loop().time() + within_s
    while not holds():
        assert asyncio.get_running_loop().time() < end, f"not within {within_s:g} s: {what}"
        await asyncio.sleep(0.01)


@asynccontextmanager
async def hosting(
    *apps: str,
    modules: Sequence[str] = (),
    listener: type[Any] | None = None,
    settings: HostSettings | None = None,
    store: MemoryStore | None = None,
    leaves_threads: bool = False,
) -> AsyncIterator[Hosting]:
    """Run apps of ours, and other modules; afterwards no thread of them is left."""
    before = set(threading.enumerate())
    deaths: list[BaseException] = []
    metrics = Metrics(CollectorRegistry())
    writer = Writer(
        store=store or MemoryStore(),
        apps=[],
        encode=entry_to_bytes,
        agents=NoAgents(),
        clock=SystemClock(),
        metrics=metrics,
        loop=asyncio.get_running_loop(),
        on_death=deaths.append,
    )
    writer.start()
    try:
        host = Host(
            [*(APPS + app for app in apps), *modules],
            name="c1",
            desk=writer.desk,
            deliver=writer.deliver,
            metrics=metrics,
            listener=listener,
            settings=settings or HostSettings(look_every_s=0.02),
        )
        made = Hosting(writer, host, metrics)
        made.openflow = await host.start()
        try:
            yield made
        finally:
            await host.stop()
    finally:
        await asyncio.to_thread(writer.stop)
    assert not deaths
    left = {thread for thread in set(threading.enumerate()) - before if not thread.name.startswith("asyncio")}
    assert leaves_threads or not left, left
