"""Real key planes of a three-node line in virtual time, with real GS QKD 014 servers at both ends on loopback."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from controller.identity.credentials import https_server_context
from controller.identity.tls_files import Tls
from southbound.agent.delivery.server import DeliveryLimits, DeliveryServer
from southbound.agent.keyplane.events import Answer, KeyStatus
from tests.support.delivery_clients import Application
from tests.support.keyplane_world import Relay, World, line, world_of
from tests.support.multicast_world import App, fill, multicast_world, relays_between, star

Party = Callable[[str], Tls]


@dataclass
class WorldDesk:
    """A node of a `World` as delivery sees it. What goes wrong is the test's to order.

    Attributes:
        flowing: Cleared, a request for keys waits until it is set: a node that is slow.
        failure: Raised by every request for keys.
    """

    world: World
    node: str
    flowing: asyncio.Event = field(default_factory=asyncio.Event)
    failure: Exception | None = None
    waiting: int = 0
    seen: set[str] = field(default_factory=set)
    missing: list[tuple[str, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.flowing.set()

    async def status(self, *, master: str, slave: str) -> KeyStatus | None:
        plane = self.world.sites[self.node].plane
        assert plane is not None
        return plane.status(master, slave)

    async def get_keys(
        self, *, master: str, slave: str, number: int, size_bit: int | None, more_slaves: tuple[str, ...]
    ) -> Answer:
        await self._ready()
        return self._answer(self.world.ask(self.node, master, slave, number, size_bit, more_slaves))

    async def get_keys_by_id(self, *, slave: str, master: str, key_ids: tuple[str, ...]) -> Answer:
        await self._ready()
        return self._answer(self.world.fetch(self.node, slave, master, key_ids))

    def sae_called(self, sae: str) -> None:
        self.seen.add(sae)

    def application_missing(self, *, master: str, slaves: tuple[str, ...]) -> None:
        self.missing.append((master, *slaves))

    async def _ready(self) -> None:
        self.waiting += 1
        try:
            await self.flowing.wait()
        finally:
            self.waiting -= 1
        if self.failure is not None:
            raise self.failure

    def _answer(self, request: int) -> Answer:
        self.world.settle()
        return self.world.answers[request]


@dataclass(frozen=True)
class DeliveryNetwork:
    """Two applications, each at an end of one key relay with full stocks, and what stands behind them."""

    world: World
    alice: Application
    bob: Application
    desks: tuple[WorldDesk, WorldDesk]
    servers: tuple[DeliveryServer, DeliveryServer]


@asynccontextmanager
async def multicast_network(
    party: Party, *, max_bandwidth_bit_per_s: int = 0
) -> AsyncIterator[tuple[World, dict[str, Application]]]:
    """Run a star of three nodes a, b, c with SAEs alice; bob and bert; carol of one application; give these by id."""
    wires = star(("b", "c"), hub="a")
    saes = {"a": ("alice",), "b": ("bob", "bert"), "c": ("carol",)}
    app = App("app", saes, max_bandwidth_bit_per_s=max_bandwidth_bit_per_s)
    world = multicast_world(wires, relays_between(saes, wires), [app])
    fill(world, wires)
    applications: dict[str, Application] = {}
    servers = []
    try:
        for node, names in saes.items():
            server = DeliveryServer(WorldDesk(world, node), https_server_context(party(f"node/{node}")))
            host, port = await server.start("127.0.0.1", 0)
            servers.append(server)
            for sae in names:
                files = party(f"sae/{sae}").files
                applications[sae] = Application(sae=sae, kme_url=f"https://{host}:{port}", files=files)
        yield world, applications
    finally:
        for server in servers:
            await server.stop()


@asynccontextmanager
async def delivery_network(party: Party, limits: DeliveryLimits | None = None) -> AsyncIterator[DeliveryNetwork]:
    """Run the network; at its end every server is stopped."""
    wires = line(2)
    relay = Relay("r1", "n00", wires)
    world = world_of(wires, [relay])
    for _ in range(4):
        for wire in wires:
            world.distil(wire.link, wire.ends)
        world.run(10)
    desks = WorldDesk(world, "n00"), WorldDesk(world, "n02")
    servers, applications = [], []
    try:
        for desk in desks:
            server = DeliveryServer(desk, https_server_context(party(f"node/{desk.node}")), limits)
            host, port = await server.start("127.0.0.1", 0)
            servers.append(server)
            sae = relay.sae(desk.node)
            files = party(f"sae/{sae}").files
            applications.append(Application(sae=sae, kme_url=f"https://{host}:{port}", files=files))
        yield DeliveryNetwork(world, applications[0], applications[1], desks, (servers[0], servers[1]))
    finally:
        for server in servers:
            await server.stop()
