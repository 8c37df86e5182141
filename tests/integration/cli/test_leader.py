"""A controller that does not lead names who does: qinetctl goes there once, if it is a controller of our CA."""

from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import status_pb2
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status

from controller.cli.exits import Exit
from controller.identity.credentials import grpc_server_credentials
from controller.identity.peers import parse_identity
from controller.identity.tls_files import files_in, load_tls
from qinet.northbound.v1 import key_relay_pb2
from qinet.northbound.v1 import key_relay_service_pb2 as pb
from qinet.northbound.v1.key_relay_service_pb2_grpc import (
    KeyRelayServiceServicer,
    add_KeyRelayServiceServicer_to_server,
)
from tests.integration.cli.conftest import certified
from tests.support.command_line import Run, runner


class Answering(KeyRelayServiceServicer):
    """A controller that leads, or says who does."""

    def __init__(self, leader_address: str | None = None) -> None:
        self.leader_address = leader_address
        self.asked = 0

    def _led(self, context: Any) -> None:
        self.asked += 1
        if self.leader_address is None:
            return
        status = status_pb2.Status(code=grpc.StatusCode.UNAVAILABLE.value[0], message="does not lead")
        info = ErrorInfo(reason="NOT_LEADER", domain="qinet.northbound")
        info.metadata["leader_address"] = self.leader_address
        status.details.add().Pack(info)
        context.abort_with_status(rpc_status.to_status(status))

    def GetKeyRelay(self, request: pb.GetKeyRelayRequest, context: Any) -> pb.GetKeyRelayResponse:
        """Return the relay that is asked for."""
        self._led(context)
        return pb.GetKeyRelayResponse(key_relay=key_relay_pb2.KeyRelay(name=request.name))

    def WatchKeyRelays(self, request: pb.WatchKeyRelaysRequest, context: Any) -> Iterator[pb.WatchKeyRelaysResponse]:
        """Tell one relay."""
        self._led(context)
        yield pb.WatchKeyRelaysResponse(
            kind=pb.WatchKeyRelaysResponse.KIND_PUT,
            resume_revision=7,
            key_relay=key_relay_pb2.KeyRelay(name="keyRelays/one"),
        )

    def _not_asked(self, request: Any, context: Any) -> Any:
        raise NotImplementedError

    CreateKeyRelay = ListKeyRelays = UpdateKeyRelay = DeleteKeyRelay = _not_asked
    RedeployKeyRelay = GetKeyRelayHistory = ComputeRoutes = _not_asked


@contextmanager
def serving(directory: Path, identity: str, answering: Answering) -> Iterator[str]:
    """Serve under that identity, and yield the address."""
    server = grpc.server(futures.ThreadPoolExecutor(4))
    add_KeyRelayServiceServicer_to_server(answering, server)
    tls = load_tls(files_in(directory / "pki", parse_identity(identity)))
    port = server.add_secure_port("127.0.0.1:0", grpc_server_credentials(tls))
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(0).wait()


@pytest.fixture(scope="module")
def parties(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates of two controllers, a node and an operator."""
    everybody = ("user/operator", "controller/controller", "controller/two", "node/alice")
    return certified(tmp_path_factory.mktemp("leaders"), everybody)


@pytest.fixture
def run(parties: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run qinetctl as that operator."""
    return runner(capsys, "--pki", str(parties / "pki"), "--timeout", "10")


def test_a_call_is_made_again_where_the_leader_is(run: Run, parties: Path) -> None:
    leader, follower = Answering(), Answering()
    with serving(parties, "controller/two", leader) as there, serving(parties, "controller/controller", follower) as at:
        follower.leader_address = there
        ran = run("get", "relays", "one", "two", "--controller", at, "-o", "json")
    assert (ran.code, "keyRelays/two" in ran.out) == (Exit.DONE, True)
    assert ran.err == f"qinetctl: that controller does not lead: asking controller/two at {there}\n"
    assert (follower.asked, leader.asked) == (1, 2)  # whoever leads is asked at once the second time


def test_a_watch_is_led_on_too(run: Run, parties: Path) -> None:
    leader, follower = Answering(), Answering()
    with serving(parties, "controller/two", leader) as there, serving(parties, "controller/controller", follower) as at:
        follower.leader_address = there
        ran = run("watch", "relays", "--count", 1, "--controller", at)
    assert (ran.code, ran.out.split()[:2]) == (Exit.DONE, ["7", "keyRelays/one"])


def test_nobody_is_followed_twice(run: Run, parties: Path) -> None:
    second, first = Answering(), Answering()
    with serving(parties, "controller/two", second) as there, serving(parties, "controller/controller", first) as at:
        first.leader_address, second.leader_address = there, at
        ran = run("relay", "show", "one", "--controller", at)
    assert ran.code == Exit.UNREACHABLE
    assert "NOT_LEADER" in ran.err
    assert "next: ask the leader" in ran.err
    assert (first.asked, second.asked) == (1, 1)


@pytest.mark.parametrize("impostor", ["node/alice", ""])
def test_only_a_controller_of_our_ca_is_believed_to_lead(run: Run, parties: Path, impostor: str) -> None:
    stranger, follower = Answering(), Answering()
    with (
        serving(parties, impostor or "node/alice", stranger) as there,
        serving(parties, "controller/controller", follower) as at,
    ):
        follower.leader_address = there if impostor else "127.0.0.1:1"
        ran = run("relay", "show", "one", "--controller", at)
    assert ran.code == Exit.UNREACHABLE
    assert "no controller of our CA answers there" in ran.err
    assert (follower.asked, stranger.asked) == (1, 0)


def test_a_refusal_without_the_leader_s_address_stays_what_it_is(run: Run, parties: Path) -> None:
    follower = Answering("")
    with serving(parties, "controller/controller", follower) as at:
        ran = run("relay", "show", "one", "--controller", at)
    assert (ran.code, follower.asked) == (Exit.UNREACHABLE, 1)
    assert "NOT_LEADER" in ran.err
