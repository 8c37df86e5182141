"""The controller that a conformance run is: the agent under test dials in, and the checks say what is done with it."""

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import Final

import grpc
import grpc.aio

from controller.domain.entries import EMPTY_DIGEST, digest_of, entry_hash
from controller.domain.refusals import Precondition
from controller.domain.snapshot import ElectionId
from controller.identity.credentials import AnyTls, grpc_server_credentials
from controller.identity.interceptor import IdentityInterceptor, peer_identity
from controller.identity.peers import Kind
from controller.wire.southbound import code_name, election_from_pb
from qinet.southbound.v1 import agent_pb2 as pb
from qinet.southbound.v1 import agent_pb2_grpc as rpc
from southbound.conformance.line import Line
from southbound.conformance.settings import Settings
from southbound.conformance.verdict import Broken, Skipped

_TAKEN_AT_MOST_BYTES: Final = 64 << 20
MOST_HEARD_BYTES: Final = 256 << 20
"""Of all that an agent says in a run, which is kept: checks look back at it."""
_BYTES_OF_A_MESSAGE: Final = 400
"""What keeping one costs beside its content."""
_HIGHEST_TERM: Final = 1 << 63

_Context = grpc.aio.ServicerContext[pb.SessionRequest, pb.SessionResponse]


class Bench(rpc.AgentServiceServicer):
    """Listens, and holds one stream of the agent at a time.

    Attributes:
        lines: Every stream so far.
        refused_s: When dials came that were refused; monotonic.
        entries: What the agent has in force, as far as it has confirmed it.
        version: Of the last update that it acknowledged.
        election: Under which the next stream is welcomed.
        admitting: Whether agents are let in; False plays a controller that is away.
        unsure: What the agent has in force may be something else than `entries`.
        gone: Why it is taken to be gone; "" while it is not.
        flooded: What it said too much of; "" while it does not.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.lines: list[Line] = []
        self.refused_s: list[float] = []
        self.entries: dict[str, bytes] = {}
        self.version = 0
        self.election = ElectionId(epoch=0, term=0)
        self.admitting = True
        self.unsure = False
        self.gone = ""
        self.flooded = ""
        self._heard_bytes = 0
        self._left_over: Line | None = None
        self._ever: set[str] = set()
        self._node = settings.node
        self._number = 0
        self._opened: asyncio.Queue[Line] = asyncio.Queue()
        self._server = grpc.aio.server(
            interceptors=[IdentityInterceptor({Kind.NODE})],
            options=[
                ("grpc.so_reuseport", 0),
                ("grpc.max_receive_message_length", _TAKEN_AT_MOST_BYTES),
                ("grpc.max_send_message_length", -1),
            ],
        )
        rpc.add_AgentServiceServicer_to_server(self, self._server)

    async def start(self, tls: AnyTls, address: str) -> int:
        """Listen at `host:port`, and return the port.

        Raises:
            Precondition: ADDRESS_IN_USE: it cannot be listened on.
        """
        try:
            port = self._server.add_secure_port(address, grpc_server_credentials(tls))
        except RuntimeError:
            port = 0
        if not port:
            raise Precondition(
                "ADDRESS_IN_USE",
                f"cannot listen at {address}: another program does, or the address is not this machine's; "
                "choose another with --listen",
                {"address": address},
            )
        await self._server.start()
        return port

    async def stop(self) -> None:
        """Stop listening."""
        await self._server.stop(0)

    # ------------------------------------------------------------ what checks do

    @property
    def digest(self) -> bytes:
        """Return the digest of what should be in force."""
        return digest(self.entries)

    def begin_check(self) -> None:
        """Take that the next check begins, on the stream that stands: nothing was asked on it for this check."""
        self._left_over = self.lines[-1] if self.lines else None

    async def line(self) -> Line:
        """Return the stream that stands, or the next one, welcomed."""
        if self.lines and self.lines[-1].alive and self.lines[-1].welcomed == self.election:
            return self.lines[-1]
        return await self.open()

    async def open(self, *, welcome: bool = True) -> Line:
        """End the stream that stands, and return the next one, whose Hello has come.

        Raises:
            Broken: None came in time, or it began with something else.
        """
        await self.hang_up("the next check begins with a new stream")
        self.admitting = True
        try:
            async with asyncio.timeout(self.settings.patience_s):
                line = await self._opened.get()
                while not line.alive:
                    line = await self._opened.get()
        except TimeoutError:
            # To wait as long again for every other check would tell nothing new.
            self.gone = f"the agent did not dial in within {self.settings.patience_s:g} s"
            raise Broken(self.gone) from None
        self.lines.append(line)
        first = await line.until(lambda _: True, self.settings.answer_s)
        if first is None:
            raise Broken(f"the agent opened a stream and said nothing for {self.settings.answer_s:g} s")
        if not first.HasField("hello"):
            raise Broken(f"the first message was {first.WhichOneof('message')}, not Hello")
        self._keep_ahead(first.hello)
        line.election = self.election
        if welcome:
            line.welcome()
        return line

    async def hang_up(self, why: str) -> None:
        """End the stream that stands, if one does."""
        if self.lines and self.lines[-1].alive:
            self.lines[-1].end(why)
            await self.lines[-1].over(5.0)

    async def restart(self) -> Line:
        """Have the agent killed and started again, and return its next stream.

        Raises:
            Skipped: There is no way to restart it.
        """
        if self.settings.restart is None:
            raise Skipped("needs --restart-command, which kills the agent (as SIGKILL does) and starts it again")
        await self.settings.restart()
        return await self.open()

    async def update(
        self,
        upserts: Mapping[str, bytes],
        deletes: Iterable[str] = (),
        *,
        base: bytes | None = None,
        target: bytes | None = None,
        remaining_s: int | None = None,
    ) -> pb.SessionRequest:
        """Send an update in one part, and return its Ack or Nack.

        Args:
            upserts: Content by id.
            deletes: Ids.
            base: Digest to be named in place of the true one.
            target: The same.
            remaining_s: Of every upsert; None for entries that stay.

        Raises:
            Broken: No answer came in time.
        """
        upserts, deletes = dict(upserts), tuple(deletes)
        line = await self.line()
        (message,) = self.parts([upserts], deletes, base=base, target=target, remaining_s=remaining_s)
        left_over, self._left_over = self._left_over, None
        heard = len(line.said)
        line.say(config_update=message)
        answer = await self.answer(line, message.nonce)
        if answer is None and line is left_over and not line.alive and len(line.said) == heard:
            # It may have been ending already, for a reason of its own, when it was asked: on a stream that was opened
            # for this check, an end is an answer.
            line = await self.open()
            if line.hello.base_digest == self.digest:
                line.say(config_update=message)
                answer = await self.answer(line, message.nonce)
        if answer is None:
            ended = "" if line.alive else ": it ended the stream"
            raise Broken(f"an update was not answered within {self.settings.answer_s:g} s{ended}")
        if answer.HasField("ack"):
            self.took(upserts, deletes, message.version)
        return answer

    def parts(
        self,
        upserts: list[Mapping[str, bytes]],
        deletes: Iterable[str] = (),
        *,
        base: bytes | None = None,
        target: bytes | None = None,
        remaining_s: int | None = None,
    ) -> list[pb.ConfigUpdate]:
        """Return an update cut into parts with these upserts each; the deletes are in the last."""
        self._number = number = 1 + max(self._number, self.lines[-1].hello.version if self.lines else 0)
        gone = set(deletes)
        wanted = {name: content for name, content in self.entries.items() if name not in gone}
        for part in upserts:
            wanted |= part
            self._ever |= set(part)
        return [
            pb.ConfigUpdate(
                nonce=number,
                version=number,
                base_digest=self.digest if base is None else base,
                target_digest=digest(wanted) if target is None else target,
                upserts=[pb.ConfigEntry(id=name, content=one, remaining_s=remaining_s) for name, one in part.items()],
                deletes=sorted(gone) if index == len(upserts) - 1 else [],
                part=index,
                parts=len(upserts),
            )
            for index, part in enumerate(upserts)
        ]

    async def answer(self, line: Line, nonce: int, within_s: float | None = None) -> pb.SessionRequest | None:
        """Return the Ack or Nack of an update, None if it does not come in time."""
        return await line.until(
            lambda said: (
                (said.HasField("ack") and said.ack.nonce == nonce)
                or (said.HasField("nack") and said.nack.nonce == nonce)
            ),
            self.settings.answer_s if within_s is None else within_s,
        )

    def took(self, upserts: Mapping[str, bytes], deletes: Iterable[str], version: int) -> None:
        """Note that the agent has confirmed an update."""
        for name in deletes:
            self.entries.pop(name, None)
        self.entries |= upserts
        self.version = version

    async def given(self, upserts: Mapping[str, bytes], *, remaining_s: int | None = None) -> None:
        """Bring entries in force that a check needs.

        Raises:
            Skipped: The agent does not take them, which another check is about.
        """
        answer = await self.update(upserts, remaining_s=remaining_s)
        if not answer.HasField("ack"):
            raise Skipped(f"the agent did not take what this needs: {refusal(answer.nack)}")

    async def clean(self) -> None:
        """Bring the agent back to an empty configuration.

        Raises:
            Skipped: It cannot be brought there.
        """
        if not self.unsure and not self.entries:
            return
        if self.unsure or not self.lines or not self.lines[-1].alive:
            line = await self.open()
            if line.hello.base_digest == EMPTY_DIGEST:
                self.entries, self.unsure = {}, False
                return
        base = self.digest if not self.unsure else self.lines[-1].hello.base_digest
        answer = await self.update({}, sorted(self._ever), base=base, target=EMPTY_DIGEST)
        if not answer.HasField("ack"):
            line = await self.open()
            known = await self.in_force(line)
            names = sorted(self._ever | set(known))
            answer = await self.update({}, names, base=line.hello.base_digest, target=EMPTY_DIGEST)
        if not answer.HasField("ack"):
            self.unsure = True
            raise Skipped(f"the agent cannot be brought back to an empty configuration: {refusal(answer.nack)}")
        self.entries, self.unsure = {}, False

    async def in_force(self, line: Line) -> dict[str, bytes]:
        """Ask what is in force, and return the hashes by id.

        Raises:
            Broken: The answer does not come in time, or its parts do not make one.
        """
        begin = len(line.said)
        line.say(entry_hashes_request=pb.EntryHashesRequest())
        found: dict[str, bytes] = {}
        part, parts = 0, 1
        while part < parts:
            request = await line.until(lambda said: said.HasField("entry_hashes"), self.settings.answer_s, after=begin)
            if request is None:
                raise Broken(f"part {part} of {parts} of EntryHashes did not come within {self.settings.answer_s:g} s")
            begin = 1 + next(number for number, one in enumerate(line.said) if one.request is request)
            answer = request.entry_hashes
            if (part and max(1, answer.parts) != parts) or answer.part != part:
                raise Broken(f"EntryHashes came as part {answer.part} of {answer.parts} where part {part} was due")
            parts = max(1, answer.parts)
            part += 1
            for one in answer.hashes:
                if one.id in found:
                    raise Broken(f"EntryHashes names {one.id} twice")
                found[one.id] = one.hash
        return found

    # ------------------------------------------------------------ the service

    async def Session(  # type: ignore[override]  # the stub's union of sync and async contexts fits no real servicer
        self, request_iterator: object, context: _Context
    ) -> None:
        """Hold one stream of the agent."""
        node = peer_identity(context).name
        if self._node not in ("", node):
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, f"the agent of nodes/{self._node} is tested here")
        self._node = node
        if not self.admitting:
            self.refused_s.append(time.monotonic())
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the controller is away: that is part of a check")
        line = Line(node, self.settings, self.election)
        self._opened.put_nowait(line)
        tasks = [asyncio.create_task(self._read(line, context)), asyncio.create_task(self._write(line, context))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await line.broke()
        if line.ending is not None:
            await context.abort(*line.ending)

    async def _read(self, line: Line, context: _Context) -> None:
        while True:
            request: object = await context.read()
            if not isinstance(request, pb.SessionRequest):
                return
            await line.took(request)
            self._heard_bytes += _BYTES_OF_A_MESSAGE + request.ByteSize()
            if self._heard_bytes > MOST_HEARD_BYTES:
                self.flooded = self.gone = (
                    f"the agent said more than {MOST_HEARD_BYTES >> 20} MiB in {len(self.lines)} sessions, the last of "
                    f"it {request.WhichOneof('message')}"
                )
                line.ending = line.ending or (grpc.StatusCode.RESOURCE_EXHAUSTED, self.flooded)
                return

    async def _write(self, line: Line, context: _Context) -> None:
        while (response := await line.next_out()) is not None:
            await context.write(response)

    def _keep_ahead(self, hello: pb.Hello) -> None:
        highest = election_from_pb(hello.highest_election_id)
        if max(highest.term, highest.epoch) > _HIGHEST_TERM:
            self.gone = (
                f"Hello says ({highest.epoch}, {highest.term}) was the highest election id: no controller follows"
            )
            raise Broken(self.gone)
        if not self.election.term or highest > self.election:
            # An agent that was tested, or served a controller, before: only a higher id is believed.
            self.election = max(self.election, ElectionId(epoch=max(1, highest.epoch), term=highest.term + 1))


def digest(entries: Mapping[str, bytes]) -> bytes:
    """Return the digest of a configuration, given content by id."""
    return digest_of({name: entry_hash(name, content) for name, content in entries.items()})


def refusal(nack: pb.Nack) -> str:
    """Return in words what a Nack says."""
    told = [f"{one.id}: {code_name(one.status.code)}: {one.status.message}" for one in nack.entries]
    if nack.HasField("status"):
        told.append(f"{code_name(nack.status.code)}: {nack.status.message}")
    return "; ".join(told) or "a Nack without a reason"
