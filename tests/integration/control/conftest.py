"""A controller's agent server on a free port, and certificates for whoever dials in."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest_asyncio

from controller.domain.events import AgentEvent
from controller.domain.snapshot import ElectionId
from controller.identity import lab_ca
from controller.identity.credentials import Tls, load_tls
from controller.identity.peers import Identity, Kind
from controller.ports.clock import SystemClock
from controller.ports.observations import Observations
from southbound.control.server import AgentServer
from southbound.control.settings import ControlSettings

ELECTION = ElectionId(epoch=1, term=3)
SETTINGS = ControlSettings(
    heartbeat_interval_ms=300, report_interval_ms=500, hello_timeout_ms=400, inbox_retry_ms=5, part_bytes=10_000,
    max_message_bytes=100_000, answer_timeout_ms=5_000,
)  # fmt: skip


class Writer:
    """Stands in for the writer: an inbox of a size, which commits as soon as it takes.

    Attributes:
        events: Taken, in order.
        room: How many more it takes; None without limit.
    """

    def __init__(self) -> None:
        self.events: list[AgentEvent] = []
        self.room: int | None = None
        self._news = asyncio.Event()

    def deliver(self, event: AgentEvent, done: Callable[[], None] | None) -> bool:
        if self.room is not None:
            if self.room == 0:
                return False
            self.room -= 1
        self.events.append(event)
        if done is not None:
            asyncio.get_running_loop().call_soon(done)
        self._news.set()
        return True

    async def until(self, told: Callable[[AgentEvent], bool]) -> AgentEvent:
        async with asyncio.timeout(10):
            while True:
                for event in self.events:
                    if told(event):
                        return event
                self._news.clear()
                await self._news.wait()


class House:
    """The controller's side, with its port and the CA."""

    def __init__(self, pki: Path) -> None:
        self.writer = Writer()
        self.observations = Observations()
        self.server = AgentServer(
            deliver=self.writer.deliver, observations=self.observations, clock=SystemClock(), settings=SETTINGS
        )
        self.port = 0
        self._pki = pki

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def tls(self, kind: Kind, name: str) -> Tls:
        return load_tls(lab_ca.issue(self._pki, Identity(kind, name), now=datetime.now(UTC)))


@pytest_asyncio.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    pki = tmp_path / "pki"
    lab_ca.init_ca(pki, now=datetime.now(UTC))
    house = House(pki)
    house.port = await house.server.start(house.tls(Kind.CONTROLLER, "one"), "127.0.0.1:0")
    yield house
    await house.server.stop(grace_s=0.5)
