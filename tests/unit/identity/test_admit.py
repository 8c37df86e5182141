"""Who may call: the rule of the interceptor alone."""

from datetime import datetime
from pathlib import Path

import pytest

from controller.identity import lab_ca
from controller.identity.interceptor import admit
from controller.identity.peers import Kind, PeerRefused, parse_identity

NODE = parse_identity("node/a")


@pytest.fixture
def certificate(pki: Path, now: datetime) -> bytes:
    return lab_ca.issue(pki, NODE, now=now).certificate.read_bytes()


def test_a_node_over_tls_1_3_is_admitted_where_nodes_are(certificate: bytes) -> None:
    context = {"ssl_tls_version": [b"TLSv1.3"], "x509_pem_cert": [certificate]}
    assert admit(context, {Kind.NODE}) == NODE
    assert admit(context, {Kind.USER, Kind.NODE}) == NODE


def test_a_kind_that_does_not_call_here_is_told_who_does(certificate: bytes) -> None:
    context = {"ssl_tls_version": [b"TLSv1.3"], "x509_pem_cert": [certificate]}
    with pytest.raises(PeerRefused) as refusal:
        admit(context, {Kind.USER, Kind.CONTROLLER})
    assert refusal.value.reason == "KIND_NOT_ALLOWED"
    assert refusal.value.facts() == {"peer": "node/a", "allowed": "controller user"}


@pytest.mark.parametrize(
    "versions", [None, [], [b"TLSv1.2"], [b"TLSv1.1"], [b""], [b"UNKNOWN"], [b"TLSv1.3", b"TLSv1.2"]]
)
def test_anything_but_tls_1_3_is_refused_also_where_the_transport_says_nothing(
    certificate: bytes, versions: list[bytes] | None
) -> None:
    context = {"x509_pem_cert": [certificate]} | ({} if versions is None else {"ssl_tls_version": versions})
    with pytest.raises(PeerRefused) as refusal:
        admit(context, set(Kind))
    assert refusal.value.reason == "TLS_TOO_OLD"
