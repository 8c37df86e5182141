"""A watch outlives its controller; silence and slowness end with a word and a code."""

import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from typing import Any

import grpc
import pytest

from controller.cli.exits import Exit
from controller.cli.following import Follower
from controller.cli.streaming import changes
from controller.identity.credentials import grpc_server_credentials, open_channel
from controller.identity.peers import parse_identity
from controller.identity.tls_files import Tls, files_in, load_tls
from qinet.northbound.v1 import key_relay_pb2, topology_service_pb2_grpc
from qinet.northbound.v1 import key_relay_service_pb2 as pb
from qinet.northbound.v1.key_relay_service_pb2_grpc import (
    KeyRelayServiceServicer,
    KeyRelayServiceStub,
    add_KeyRelayServiceServicer_to_server,
)
from tests.integration.cli.laboratory import REPOSITORY, Laboratory
from tests.support.command_line import runner

CONTROLLER = parse_identity("controller/controller")


class Watching:
    """A command that goes on until Ctrl-C, in a process of its own."""

    def __init__(self, lab: Laboratory, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "controller.cli.main", *arguments),
                *("--controller", lab.northbound, "--pki", str(lab.directory / "pki")),
            ],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._lines: queue.Queue[str] = queue.Queue()
        self._readers = [
            threading.Thread(target=self._read, args=(stream,), daemon=True)
            for stream in (self.process.stdout, self.process.stderr)
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, stream: Any) -> None:
        with stream:
            for line in stream:
                self._lines.put(line)

    def __enter__(self) -> "Watching":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        for reader in self._readers:
            reader.join()

    def until(self, text: str) -> str:
        """Return the next line with that text in it."""
        while text not in (line := self._lines.get(timeout=60)):
            pass
        return line

    def interrupt(self) -> int:
        """Press Ctrl-C, and return the exit code."""
        self.process.send_signal(2)
        return self.process.wait(20)


def test_a_watch_goes_on_after_its_controller_was_killed_and_started_again(
    lonely: Laboratory, capsys: pytest.CaptureFixture[str]
) -> None:
    controller = lonely.start_controller()
    run = runner(capsys, "--controller", lonely.northbound, "--pki", str(lonely.directory / "pki"), "--timeout", "30")
    with (
        Watching(lonely, "watch", "relays") as watching,
        Watching(lonely, "events", "--follow", "--resume", "1") as events,
        Watching(lonely, "get", "relays", "--watch", "--interval", "100ms") as table,
    ):
        assert run("relay", "create", "alice", "bob", "--rate", 1, "--name", "one", "--accept-blocked").code == 0
        watching.until("keyRelays/one")
        events.until("keyRelays/one")
        table.until("one")
        controller.kill()
        controller.wait()
        for each in (watching, events, table):
            each.until("the connection is lost")
        lonely.start_controller()
        assert run("relay", "create", "alice", "bob", "--rate", 1, "--name", "two", "--accept-blocked").code == 0
        watching.until("keyRelays/two")
        events.until("keyRelays/two")
        table.until("two")
        for each in (watching, events, table):
            assert each.interrupt() == Exit.INTERRUPTED


@contextmanager
def served(lab: Laboratory, relays: KeyRelayServiceServicer | None = None) -> Iterator[tuple[str, Tls]]:
    """A controller that speaks mutual TLS, and answers only for relays, if at all; yields its address and our files."""
    pki = lab.directory / "pki"
    server = grpc.server(futures.ThreadPoolExecutor(4))
    if relays is not None:
        add_KeyRelayServiceServicer_to_server(relays, server)
    topology_service_pb2_grpc.add_TopologyServiceServicer_to_server(Asleep(), server)
    credentials = grpc_server_credentials(load_tls(files_in(pki, CONTROLLER)))
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    try:
        yield f"127.0.0.1:{port}", load_tls(files_in(pki, parse_identity("user/operator")))
    finally:
        server.stop(0).wait()


class Asleep(topology_service_pb2_grpc.TopologyServiceServicer):
    """Takes calls and never answers them, until they end."""

    def ListNodes(self, request: Any, context: Any) -> Any:
        """Wait for the end of the call."""
        over = threading.Event()
        context.add_callback(over.set)
        over.wait(30)
        context.abort(grpc.StatusCode.CANCELLED, "")

    CreateNode = GetNode = UpdateNode = DeleteNode = CreateLink = GetLink = ListLinks = ListNodes
    UpdateLink = DeleteLink = WatchTopology = ApplyTopology = ListNodes


def test_a_controller_that_does_not_answer_in_time_ends_with_4(
    lonely: Laboratory, capsys: pytest.CaptureFixture[str]
) -> None:
    with served(lonely) as (address, _):
        run = runner(capsys, "--controller", address, "--pki", str(lonely.directory / "pki"))
        ran = run("get", "nodes", "--timeout", "0.5")
    assert ran.code == Exit.UNREACHABLE
    assert f"no answer from the controller at {address} within 0.5 s" in ran.err


class Mute(KeyRelayServiceServicer):
    """Tells one relay to each watcher, then says nothing more: no heartbeat, no end."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def WatchKeyRelays(self, request: pb.WatchKeyRelaysRequest, context: Any) -> Any:
        """Tell one relay, named after how often we were asked."""
        self.asked.append(request.resume_revision)
        number = len(self.asked)
        over = threading.Event()
        context.add_callback(over.set)
        yield pb.WatchKeyRelaysResponse(
            kind=pb.WatchKeyRelaysResponse.KIND_PUT,
            resume_revision=10 * number,
            key_relay=key_relay_pb2.KeyRelay(name=f"keyRelays/r{number}"),
        )
        over.wait(30)

    def _not_asked(self, request: Any, context: Any) -> Any:
        raise NotImplementedError

    CreateKeyRelay = GetKeyRelay = ListKeyRelays = UpdateKeyRelay = DeleteKeyRelay = _not_asked
    RedeployKeyRelay = GetKeyRelayHistory = ComputeRoutes = _not_asked


def test_a_controller_that_went_silent_is_asked_again_from_the_last_revision(lonely: Laboratory) -> None:
    mute = Mute()
    with served(lonely, mute) as (address, tls), open_channel(tls, address, CONTROLLER) as channel:
        stub = KeyRelayServiceStub(channel)
        watched = changes(
            lambda resume, limit: stub.WatchKeyRelays(pb.WatchKeyRelaysRequest(resume_revision=resume), timeout=limit),
            Follower(),
            silence_limit_s=0.3,
        )
        assert [next(watched).name for _ in range(3)] == ["keyRelays/r1", "keyRelays/r2", "keyRelays/r3"]
        watched.close()
    assert mute.asked == [0, 10, 20]


def test_a_watch_that_nobody_ever_answered_ends_with_4(lonely: Laboratory, capsys: pytest.CaptureFixture[str]) -> None:
    run = runner(capsys, "--controller", "127.0.0.1:1", "--pki", str(lonely.directory / "pki"))
    assert run("watch", "relays").code == Exit.UNREACHABLE
