"""One stream of the agent under test: everything that it said, with the time, and what is said to it."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import grpc

from controller.domain.snapshot import ElectionId
from controller.wire.southbound import election_from_pb, election_to_pb
from qinet.southbound.v1 import agent_pb2 as pb
from southbound.conformance.settings import Settings

UNKNOWN_FIELD: Final = b"\x82\x7d\x02\x08\x01"
"""Field 2000, two bytes long: of no message of today's, and every reader must pass over it."""

Wanted = Callable[[pb.SessionRequest], bool]


@dataclass(frozen=True, slots=True)
class Said:
    """A message of the agent, and when it came; monotonic."""

    at_s: float
    request: pb.SessionRequest


class Line:
    """A stream. It is ended by `end`, or by the agent.

    Attributes:
        certificate_node: Whom the agent's certificate names.
        said: In order.
        began_s, ended_s: Monotonic; `ended_s` is None while it stands.
        welcomed: Under which election id; None before.
        beating: Whether we send heartbeats.
        acknowledging: Whether we acknowledge notifications.
    """

    def __init__(self, certificate_node: str, settings: Settings, election: ElectionId) -> None:
        self.certificate_node = certificate_node
        self.said: list[Said] = []
        self.began_s = time.monotonic()
        self.ended_s: float | None = None
        self.welcomed: ElectionId | None = None
        self.election = election
        self.beating = True
        self.acknowledging = True
        self.ending: tuple[grpc.StatusCode, str] | None = None
        self._settings = settings
        self._outbox: asyncio.Queue[pb.SessionResponse | None] = asyncio.Queue()
        self._changed = asyncio.Condition()

    @property
    def hello(self) -> pb.Hello:
        """Return the first message; empty where it is no Hello."""
        return self.said[0].request.hello

    @property
    def alive(self) -> bool:
        """Tell whether it stands."""
        return self.ended_s is None

    def welcome(self, *, max_message_bytes: int | None = None, unknown: bytes = b"") -> None:
        """Answer Hello."""
        welcome = pb.Welcome(
            heartbeat_interval_ms=self._settings.heartbeat_ms,
            report_interval_ms=self._settings.report_ms,
            max_message_bytes=max_message_bytes or self._settings.max_message_bytes,
        )
        self.welcomed = self.election
        self.say(welcome=pb.Welcome.FromString(welcome.SerializeToString() + unknown))

    def say(self, *, election: ElectionId | None = None, unknown: bytes = b"", **message: object) -> None:
        """Send a message, under the session's election id where no other is given."""
        response = pb.SessionResponse(**message)  # type: ignore[arg-type]
        response.election_id.CopyFrom(election_to_pb(election or self.election))
        self._outbox.put_nowait(pb.SessionResponse.FromString(response.SerializeToString() + unknown))

    def end(self, why: str) -> None:
        """End the stream, as a controller does that goes away."""
        self.ending = self.ending or (grpc.StatusCode.UNAVAILABLE, why)
        self._outbox.put_nowait(None)

    async def until(self, wanted: Wanted, within_s: float, *, after: int = 0) -> pb.SessionRequest | None:
        """Return the first message from number `after` on that is wanted; None when time, or the stream, is over."""
        number = after
        try:
            async with asyncio.timeout(within_s), self._changed:
                while True:
                    while number < len(self.said):
                        if wanted(request := self.said[number].request):
                            return request
                        number += 1
                    if not self.alive:
                        return None
                    await self._changed.wait()
        except TimeoutError:
            return None

    async def over(self, within_s: float) -> bool:
        """Wait for the end of the stream, and tell whether it came in time."""
        await self.until(lambda _: False, within_s)
        return not self.alive

    async def took(self, request: pb.SessionRequest) -> None:
        """Take a message of the agent."""
        async with self._changed:
            self.said.append(Said(time.monotonic(), request))
            self._changed.notify_all()
        if request.HasField("notification") and self.acknowledging and self.welcomed is not None:
            self.say(notification_ack=pb.NotificationAck(sequence=request.notification.sequence))

    async def next_out(self) -> pb.SessionResponse | None:
        """Return what is to be sent, a heartbeat where nothing else is; None at the end."""
        while True:
            try:
                async with asyncio.timeout(self._settings.heartbeat_ms / 1000):
                    return await self._outbox.get()
            except TimeoutError:
                if self.welcomed is not None and self.beating:
                    return pb.SessionResponse(election_id=election_to_pb(self.election), heartbeat=pb.Heartbeat())

    async def broke(self) -> None:
        """Take that the stream has ended."""
        async with self._changed:
            if self.ended_s is None:
                self.ended_s = time.monotonic()
            self._changed.notify_all()

    def out_of_order(self) -> list[str]:
        """Return what broke a rule that holds for every message of every session."""
        found = []
        for said in self.said[1:]:
            kind = said.request.WhichOneof("message")
            if kind == "hello":
                found.append("a second Hello")
            elif self.welcomed is not None and election_from_pb(said.request.election_id) != self.welcomed:
                id_ = said.request.election_id
                found.append(f"a {kind} with election id ({id_.epoch}, {id_.term})")
        return found
