"""Keeps a session with one of the controllers over gRPC, for as long as it is run."""

import asyncio
import logging
import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol

import grpc
import grpc.aio

from controller.domain.refusals import InvalidValue
from controller.domain.snapshot import ElectionId
from controller.identity.credentials import AnyTls, open_aio_channel
from controller.identity.peers import Identity, Kind
from qinet.southbound.v1 import agent_pb2 as pb
from qinet.southbound.v1 import agent_pb2_grpc
from southbound.agent.configuration import Accepted, Configuration, Update
from southbound.agent.lab_hooks import LabHooks
from southbound.agent.notices import Notices
from southbound.agent.pair_entries import PairMeans
from southbound.agent.session import Apply, Effect, End, Remember, Say, Session, Welcomed
from southbound.repeats import Repeats

log = logging.getLogger(__name__)

_FIRST_DELAY_S: Final = 0.2
_LAST_DELAY_S: Final = 10.0
_OUTBOX_SIZE: Final = 4096
_INBOX_SIZE: Final = 64
_MIN_REPORT_SPACING_S: Final = 0.5
_FAREWELL_S: Final = 1.0
_DRAINING: Final = ("draining",)
_CHANNEL_OPTIONS: Final = (
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    # A channel of our own for each session: a shared one would hand the next session an old connection's back-off.
    ("grpc.use_local_subchannel_pool", 1),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllerAddress:
    """Where a controller listens, and who must answer there."""

    name: str
    address: str

    @classmethod
    def parse(cls, text: str) -> "ControllerAddress":
        """Read `HOST:PORT` or `NAME@HOST:PORT`; the name is `controller` when not given.

        >>> ControllerAddress.parse("127.0.0.1:7400").name
        'controller'

        Raises:
            InvalidValue: It has another form.
        """
        name, at, address = text.rpartition("@")
        host, colon, port = address.rpartition(":")
        if not (host and colon and port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
            raise InvalidValue("", ("controller", f"{text!r} is not HOST:PORT or NAME@HOST:PORT"))
        return cls(name=name if at else "controller", address=address)


class Host(Protocol):
    """What the uplink needs of its agent."""

    @property
    def configuration(self) -> Configuration:
        """Return the configuration in force."""

    @property
    def highest_election(self) -> ElectionId | None:
        """Return the highest election id ever seen."""

    @property
    def pair_means(self) -> PairMeans | None:
        """Return what the node has for entanglement; None for nothing."""

    def service_s(self) -> float:
        """Return the service time."""

    def hello(self) -> pb.Hello:
        """Return how the agent stands."""

    def report(self, *, complete: bool) -> pb.Report | None:
        """Return the state, or what changed; None where nothing did."""

    async def remember(self, election: ElectionId) -> None:
        """Make the highest election id durable."""

    async def apply(self, update: Update, accepted: Accepted) -> bool:
        """Make a configuration durable and put it in force; False if another came in force since it was decided."""


class _Ended(Exception):  # noqa: N818 (how a session ends, often in good order)
    pass


class Uplink:
    """The agent's way to its controllers: one session at a time, the next controller after each end."""

    def __init__(
        self,
        *,
        node: str,
        tls: AnyTls,
        controllers: Sequence[ControllerAddress],
        host: Host,
        notices: Notices,
        hooks: LabHooks | None = None,
    ) -> None:
        self._hooks = hooks
        self._node = node
        self._tls = tls
        self._controllers = tuple(controllers)
        self._host = host
        self._notices = notices
        self._nudged = asyncio.Event()
        self._report_wanted = False
        self._taken_leave = asyncio.Event()
        self._repeats = Repeats()
        self.connected = False

    def nudge(self, *, report: bool = False) -> None:
        """Look at once whether something is to be said; with `report`, that a report would tell something new."""
        self._report_wanted |= report
        self._nudged.set()

    async def farewell(self) -> None:
        """Tell the controller that the node is being shut down on purpose; a second later nobody waits for its word."""
        if not self.connected:
            return
        self._notices.add(_DRAINING, pb.Notification(draining=pb.Draining()))
        self.nudge()
        with suppress(TimeoutError):
            async with asyncio.timeout(_FAREWELL_S):
                await self._taken_leave.wait()

    async def run(self) -> None:
        """Keep a session until cancelled. An end is logged and followed by the next controller, later each time."""
        failures = 0
        while True:
            for controller in self._controllers:
                try:
                    await self._hold(controller)
                except (_Ended, grpc.aio.AioRpcError) as end:
                    stood, self.connected = self.connected, False
                    failures = 0 if stood else failures + 1
                    self._tell_end(controller, end, stood=stood)
                finally:
                    self.connected = False
                await asyncio.sleep(_delay_s(failures))

    def _tell_end(self, controller: ControllerAddress, end: Exception, *, stood: bool) -> None:
        why = _why(end)
        log.debug("session ended node=%s controller=%s details=%s", self._node, controller.address, why)
        line = f"no session node={self._node} controller={controller.address} why={explained(why, controller)}"
        # That a session is lost is news each time; that there is none still is not.
        told = line if stood else self._repeats.note(line, time.monotonic())
        if told is not None:
            log.warning("%s", told)

    async def _hold(self, controller: ControllerAddress) -> None:
        identity = Identity(Kind.CONTROLLER, controller.name)
        async with open_aio_channel(self._tls, controller.address, identity, _CHANNEL_OPTIONS) as channel:
            stream = agent_pb2_grpc.AgentServiceStub(channel).Session()
            outbox: asyncio.Queue[pb.SessionRequest] = asyncio.Queue(_OUTBOX_SIZE)
            inbox: asyncio.Queue[pb.SessionResponse] = asyncio.Queue(_INBOX_SIZE)
            session = Session(
                node=self._node,
                highest=self._host.highest_election,
                notices=self._notices,
                now_s=time.monotonic(),
                pairs=self._host.pair_means,
            )
            outbox.put_nowait(pb.SessionRequest(hello=self._host.hello()))
            parts = [
                asyncio.ensure_future(part)
                for part in (
                    _write(stream, outbox),
                    _listen(stream, session, inbox),
                    self._obey(session, inbox, outbox),
                    self._speak(session, outbox),
                )
            ]
            try:
                await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
                # The status that the controller ended with says more than a write that failed on it.
                for part in sorted(parts, key=lambda part: part is not parts[1]):
                    if part.done():
                        part.result()
            finally:
                stream.cancel()
                for part in parts:
                    part.cancel()
                await asyncio.gather(*parts, return_exceptions=True)

    async def _obey(
        self,
        session: Session,
        inbox: "asyncio.Queue[pb.SessionResponse]",
        outbox: "asyncio.Queue[pb.SessionRequest]",
    ) -> None:
        while True:
            response = await inbox.get()
            if self._hooks is not None and self._hooks.delay_s:
                await asyncio.sleep(self._hooks.delay_s)
            host = self._host
            effects = session.receive(response, host.configuration, time.monotonic(), host.service_s())
            await self._carry_out(effects, session, outbox)
            if response.HasField("notification_ack") and not self._notices.pending(_DRAINING):
                self._taken_leave.set()

    async def _speak(self, session: Session, outbox: "asyncio.Queue[pb.SessionRequest]") -> None:
        reported_s = 0.0
        while True:
            now_s = time.monotonic()
            self._nudged.clear()
            effects, complete = session.due(now_s)
            await self._carry_out(effects, session, outbox)
            wait_s = session.wait_s(now_s)
            if session.welcomed and (complete or self._report_wanted):
                spacing_s = 0.0 if complete else reported_s + _MIN_REPORT_SPACING_S - now_s
                if spacing_s > 0:
                    wait_s = min(wait_s, spacing_s)
                else:
                    self._report_wanted = False
                    reported_s = now_s
                    if (report := self._host.report(complete=complete)) is not None:
                        await self._carry_out([session.report(report)], session, outbox)
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._nudged.wait()

    async def _carry_out(
        self, effects: list[Effect], session: Session, outbox: "asyncio.Queue[pb.SessionRequest]"
    ) -> None:
        for effect in effects:
            match effect:
                case Remember(election=election):
                    await self._host.remember(election)
                case Apply(update=update, accepted=accepted):
                    if not await self._host.apply(update, accepted):
                        raise _Ended("the configuration changed while an update was decided")
                    _say(session.applied(update, accepted.configuration), outbox)
                case Say():
                    _say(effect, outbox)
                case Welcomed(election=election):
                    self.connected = True
                    log.info("session open node=%s epoch=%d term=%d", self._node, election.epoch, election.term)
                    self.nudge()
                case End(reason=reason):
                    raise _Ended(reason)


def _say(say: Say, outbox: "asyncio.Queue[pb.SessionRequest]") -> None:
    try:
        outbox.put_nowait(say.request)
    except asyncio.QueueFull:
        raise _Ended("the controller does not read") from None


_Stream = grpc.aio.StreamStreamCall[pb.SessionRequest, pb.SessionResponse]


async def _listen(stream: "_Stream", session: Session, inbox: "asyncio.Queue[pb.SessionResponse]") -> None:
    # Apart from obeying: while an update is applied, the controller must not seem silent.
    while (response := await stream.read()) is not grpc.aio.EOF:
        assert isinstance(response, pb.SessionResponse)
        session.heard(time.monotonic())
        if response.HasField("heartbeat") and inbox.full():
            continue
        await inbox.put(response)
    status = await stream.code()
    if status is grpc.StatusCode.OK:
        raise _Ended("the controller ended the session")
    raise _Ended(f"{status.name}: {await stream.details()}")


async def _write(stream: "_Stream", outbox: "asyncio.Queue[pb.SessionRequest]") -> None:
    while True:
        request = await outbox.get()
        try:
            await stream.write(request)
        except asyncio.InvalidStateError:
            # The call has ended already; who listens learns why.
            await asyncio.Event().wait()


def _delay_s(failures: int) -> float:
    longest_s = min(_LAST_DELAY_S, _FIRST_DELAY_S * 2.0 ** min(failures, 16))
    # Half of it by chance, so that the agents of a network that lost its controller do not come back at once.
    return longest_s * (0.5 + secrets.randbelow(1000) / 2000)


def explained(why: str, controller: ControllerAddress) -> str:
    """Return why there is no session in words that name the remedy, where gRPC's own do not."""
    if "CERTIFICATE_VERIFY_FAILED" in why:
        return (
            "the controller's certificate is not of our CA, or not valid now: start agent and controller with "
            "certificates that one CA issued (`qinetctl pki issue`), and check the clocks"
        )
    if "Hostname Verification" in why:
        return (
            f"who answers there is not controller/{controller.name}: "
            "name the one that is with --controller NAME@HOST:PORT"
        )
    if "handshake" in why.lower() or why.endswith("Socket closed"):
        return (
            "the connection was closed at once: the controller may refuse our certificate (of another CA, or not valid "
            "now: `qinetctl pki issue node/NAME` with its CA), or something else listens there"
        )
    if "Connection refused" in why:
        return "nothing listens there: is the controller running, and its southbound address this one?"
    return why


def _why(end: Exception) -> str:
    if isinstance(end, grpc.aio.AioRpcError):
        return f"{end.code().name}: {end.details()}"
    return str(end)
