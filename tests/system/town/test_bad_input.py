"""What bad input gets from the whole network: a clear refusal, and nothing half done."""

import math
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from controller.cli.main import main as qinetctl
from controller.identity.credentials import open_channel
from controller.identity.tls_files import files_in, load_tls
from qinet.northbound.v1 import key_relay_service_pb2, operations_service_pb2, operations_service_pb2_grpc
from tests.support.daemons import World
from tests.support.operator_calls import CONTROLLER, DEADLINE_S, OPERATOR, Relay, refusal

INVALID = grpc.StatusCode.INVALID_ARGUMENT
PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION


@pytest.fixture
def unchanged(town: World) -> Callable[[], bool]:
    """Tell whether relays and reservations are as before the test."""

    def state() -> Any:
        relays = {name: (relay.etag, relay.route_version) for name, relay in town.all_relays().items()}
        return relays, {name: link.reserved_bit_per_s for name, link in town.links().items()}

    before = state()
    return lambda: bool(state() == before)


@pytest.mark.parametrize(
    ("relay", "code", "reason", "named"),
    [
        ({"target": "nobody"}, grpc.StatusCode.NOT_FOUND, "NOT_FOUND", "nodes/nobody"),
        ({"target": "alice"}, INVALID, "INVALID_VALUE", "target"),
        ({"rate_bit_per_s": 0.0}, INVALID, "INVALID_VALUE", "rate"),
        ({"rate_bit_per_s": -1.0}, INVALID, "INVALID_VALUE", "rate"),
        ({"rate_bit_per_s": math.nan}, INVALID, "INVALID_VALUE", "rate"),
        ({"rate_bit_per_s": math.inf}, INVALID, "INVALID_VALUE", "rate"),
        ({"rate_bit_per_s": 2.0**32}, INVALID, "INVALID_VALUE", "rate"),
        ({"max_hops": 0}, INVALID, "INVALID_VALUE", "max_hops"),
        ({"target": "isle"}, PRECONDITION, "NO_ROUTE", "isle"),
        ({"rate_bit_per_s": 1e6}, PRECONDITION, "NO_CAPACITY", "alice-middle"),
        ({"shares": 2}, PRECONDITION, "NO_DISJOINT_ROUTES", "middle"),
        ({"application": "applications/none"}, grpc.StatusCode.NOT_FOUND, "NOT_FOUND", "applications/none"),
    ],
)
def test_a_demand_that_cannot_be_met_is_refused_by_name(
    town: World, unchanged: Callable[[], bool], relay: dict[str, Any], code: grpc.StatusCode, reason: str, named: str
) -> None:
    wanted: dict[str, Any] = {"source": "alice", "target": "bob", "rate_bit_per_s": 1.0} | relay
    refused = refusal(lambda: town.create("bad", **wanted))
    assert (refused.code, refused.reason) == (code, reason)
    assert named in refused.message
    assert unchanged()


def test_a_stale_etag_deletes_nothing(town: World, unchanged: Callable[[], bool]) -> None:
    refused = refusal(lambda: town.delete("mail", etag="stale"))
    assert (refused.code, refused.reason) == (PRECONDITION, "STALE_ETAG")
    assert unchanged()


def test_a_request_id_gives_its_first_result_and_never_creates_again(town: World) -> None:
    first = town.create("once", "alice", "middle", 1.0, request_id="a-unique-request")
    assert town.create("once", "alice", "middle", 1.0, request_id="a-unique-request").name == first.name
    other = refusal(lambda: town.create("once", "alice", "middle", 2.0, request_id="a-unique-request"))
    assert other.code is grpc.StatusCode.ALREADY_EXISTS
    assert town.relay("once").rate_bit_per_s == 1.0
    town.delete("once")
    town.gone("once")
    late = refusal(lambda: town.create("once", "alice", "middle", 1.0, request_id="a-unique-request"))
    assert (late.code, late.reason) == (PRECONDITION, "ALREADY_DELETED")
    assert "once" not in town.all_relays()


def test_a_message_beyond_the_size_limit_is_refused(town: World, unchanged: Callable[[], bool]) -> None:
    request = key_relay_service_pb2.CreateKeyRelayRequest(
        key_relay_id="large",
        key_relay=Relay(source="nodes/alice", target="nodes/bob", rate_bit_per_s=1, avoid_nodes=["x" * (9 << 20)]),
    )
    refused = refusal(lambda: town.relays.CreateKeyRelay(request, timeout=DEADLINE_S))
    assert refused.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "larger" in refused.message
    assert unchanged()


def status_over(channel: grpc.Channel) -> object:
    with channel:
        stub = operations_service_pb2_grpc.OperationsServiceStub(channel)
        return stub.GetClusterStatus(operations_service_pb2.GetClusterStatusRequest(), timeout=DEADLINE_S)


@pytest.mark.parametrize("port", ["northbound", "southbound"])
def test_no_grpc_port_answers_in_plaintext_or_without_a_certificate(town: World, port: str) -> None:
    address = town.addresses[port]
    plain = refusal(lambda: status_over(grpc.insecure_channel(address)))
    assert plain.code is grpc.StatusCode.UNAVAILABLE
    nobody = grpc.ssl_channel_credentials((town.pki / "ca.crt").read_bytes())
    options = [("grpc.ssl_target_name_override", str(CONTROLLER.dns_name))]
    anonymous = refusal(lambda: status_over(grpc.secure_channel(address, nobody, options)))
    assert anonymous.code is grpc.StatusCode.UNAVAILABLE


def test_only_operators_may_ask_the_northbound(town: World) -> None:
    node = load_tls(files_in(town.pki, town.identity_of("middle")))
    refused = refusal(lambda: status_over(open_channel(node, town.addresses["northbound"], CONTROLLER)))
    assert refused.code is grpc.StatusCode.PERMISSION_DENIED
    assert "node/middle" in refused.message


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ("relay create alice nobody --rate 1", 3, "nodes/nobody"),
        ("relay create alice alice --rate 1", 3, "target"),
        ("relay create alice bob --rate 0", 3, "rate_bit_per_s"),
        ("relay create alice bob --rate nan", 3, "rate_bit_per_s"),
        ("relay create alice bob --rate 5G", 3, "rate_bit_per_s"),
        ("relay create alice isle --rate 1", 3, "NO_ROUTE"),
        ("relay create bob cave --rate 5k", 3, "narrow"),
        ("relay show none", 3, "keyRelays/none"),
        ("relay delete none", 3, "keyRelays/none"),
        ("get nodes --nonsense", 2, "--nonsense"),
    ],
)
def test_qinetctl_tells_bad_input_with_its_exit_code(
    town: World,
    unchanged: Callable[[], bool],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    line: str,
    code: int,
    says: str,
) -> None:
    monkeypatch.setenv("QINET_CONTROLLER", town.addresses["northbound"])
    monkeypatch.setenv("QINET_PKI", str(town.pki))
    monkeypatch.setenv("QINET_USER", str(OPERATOR))
    monkeypatch.setenv("COLUMNS", "200")
    given = qinetctl(line.split())
    told = capsys.readouterr()
    assert (given, told.out) == (code, ""), told.err
    assert says in told.err
    assert unchanged()
