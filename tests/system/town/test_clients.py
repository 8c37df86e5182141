"""Programs that others wrote, against the whole network: GS QKD 014 clients and grpcurl."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from controller.identity.peers import Identity, Kind
from controller.identity.tls_files import files_in
from tests.support.daemons import World
from tests.support.delivery_clients import (
    assert_conformant,
    bare_request,
    doctor,
    round_trip_with_etsi_client,
    round_trip_with_qkdsec,
)
from tests.support.operator_calls import OPERATOR, wait_until


def stocked(town: World, keys: int) -> None:
    for master, slave in (("sae-alice", "sae-bob"), ("sae-bob", "sae-alice")):
        client = town.client(master)
        wait_until(lambda: client.status(slave)["stored_key_count"] >= keys, f"{keys} keys at {master}")  # noqa: B023


def test_two_applications_fetch_the_same_keys_with_the_etsi_client(town: World) -> None:
    stocked(town, 6)
    alice, bob = town.foreign("sae-alice"), town.foreign("sae-bob")
    there = round_trip_with_etsi_client(alice, bob, number=3, size_bit=512)
    back = round_trip_with_etsi_client(bob, alice)
    assert len({*there, *back}) == len({*there.values(), *back.values()}) == 4


def test_two_applications_fetch_the_same_keys_with_qkdsec(town: World) -> None:
    stocked(town, 6)
    alice, bob = town.foreign("sae-alice"), town.foreign("sae-bob")
    there = round_trip_with_qkdsec(alice, bob, number=2, verb="POST")
    back = round_trip_with_qkdsec(bob, alice, number=2)
    assert len({*there, *back}) == 4


def test_the_doctor_finds_only_where_it_contradicts_the_standard(town: World) -> None:
    stocked(town, 20)
    assert_conformant(doctor(town.foreign("sae-alice"), "sae-bob"))


def test_keys_of_others_are_answered_401_with_an_empty_body_and_stay(town: World) -> None:
    town.application("stranger", ("sae-eve", "bob"), ("sae-mallory", "alice"))
    stocked(town, 2)
    alice, bob, eve = (town.foreign(sae) for sae in ("sae-alice", "sae-bob", "sae-eve"))
    (key,) = town.client("sae-alice").get_keys("sae-bob", 1, 256)
    status, _, body = bare_request(eve, "GET", f"/api/v1/keys/sae-alice/dec_keys?key_ID={key.key_id}")
    assert (status, body) == (401, b"")
    status, _, body = bare_request(alice, "GET", f"/api/v1/keys/sae-bob/dec_keys?key_ID={key.key_id}")
    assert (status, body) == (401, b"")
    assert town.client("sae-bob").get_keys_with_ids("sae-alice", [key.key_id]) == [key]
    status, _, body = bare_request(bob, "GET", f"/api/v1/keys/sae-alice/dec_keys?key_ID={key.key_id}")
    assert status == 400
    assert json.loads(body)["message"]


def test_keys_without_an_application_are_answered_503_naming_what_is_missing(town: World) -> None:
    town.certify(Identity(Kind.SAE, "sae-lonely"))
    lonely = town.foreign_at("sae-lonely", "alice")
    status, _, body = bare_request(lonely, "GET", "/api/v1/keys/sae-bob/enc_keys")
    assert status == 503
    assert "application" in json.loads(body)["message"]
    assert "sae-lonely" in body.decode()


def grpcurl(town: World, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run grpcurl with the operator's certificate."""
    files = files_in(town.pki, OPERATOR)
    program = Path(sys.executable).with_name("grpcurl")
    tls = ["-cacert", files.ca, "-cert", files.certificate, "-key", files.key]
    tls += ["-authority", "controller.controller.qinet"]
    options: list[str] = []
    while arguments and arguments[0].startswith("-"):
        options += arguments[:2]
        arguments = arguments[2:]
    command = [program, "-max-time", "20", *tls, *options, town.addresses["northbound"], *arguments]
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=60, check=False)


def test_grpcurl_lists_and_describes_the_api_by_reflection(town: World) -> None:
    listed = grpcurl(town, "list")
    assert listed.returncode == 0, listed.stderr
    ours = {f"qinet.northbound.v1.{name}Service" for name in ("Topology", "KeyRelay", "Application", "Operations")}
    assert {*ours, "grpc.health.v1.Health"} <= set(listed.stdout.split())
    described = grpcurl(town, "describe", "qinet.northbound.v1.CreateKeyRelayRequest")
    assert "request_id" in described.stdout, described.stderr


@pytest.mark.parametrize(
    ("method", "field"),
    [
        ("TopologyService/ListNodes", "nodes"),
        ("KeyRelayService/ListKeyRelays", "key_relays"),
        ("OperationsService/ListAgents", "agents"),
    ],
)
def test_grpcurl_calls_the_api(town: World, method: str, field: str) -> None:
    called = grpcurl(town, "-d", '{"page_size": 10}', f"qinet.northbound.v1.{method}")
    assert called.returncode == 0, called.stderr
    answer: dict[str, Any] = json.loads(called.stdout)
    assert answer.get(field), called.stdout


def test_grpcurl_sees_a_refusal_with_its_reason(town: World) -> None:
    body = '{"key_relay": {"source": "nodes/alice", "target": "nodes/isle", "rate_bit_per_s": 1}}'
    called = grpcurl(town, "-d", body, "qinet.northbound.v1.KeyRelayService/CreateKeyRelay")
    assert called.returncode != 0
    assert "FailedPrecondition" in called.stderr
    assert "NO_ROUTE" in called.stderr
