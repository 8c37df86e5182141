"""Identities, and reading them out of certificates and transports."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.domain.refusals import InvalidValue
from controller.identity.peers import (
    Identity,
    Kind,
    PeerRefused,
    auth_context_identity,
    certificate_identity,
    identity_from_uri,
    parse_identity,
    peer_identity,
    transport_identity,
)

KEY = ec.generate_private_key(ec.SECP256R1())
LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True)
SAES = st.from_regex(r"[A-Za-z0-9._~-]{1,64}", fullmatch=True)
IDENTITIES = st.one_of(
    st.builds(Identity, st.sampled_from([Kind.NODE, Kind.USER, Kind.CONTROLLER]), LABELS),
    st.builds(Identity, st.just(Kind.SAE), SAES),
)


def certificate(*names: x509.GeneralName) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a")])
    start = datetime(2030, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder(subject, subject, KEY.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(start).not_valid_after(start + timedelta(days=1))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(KEY, hashes.SHA256())


def uri(text: str) -> x509.GeneralName:
    return x509.UniformResourceIdentifier(text)


def reason(given: bytes | x509.Certificate) -> str:
    with pytest.raises(PeerRefused) as refusal:
        certificate_identity(given)
    assert refusal.value.message
    return refusal.value.reason


@given(IDENTITIES)
def test_an_identity_comes_back_from_its_uri_and_its_short_form(identity: Identity) -> None:
    assert identity_from_uri(identity.uri) == identity
    assert parse_identity(str(identity)) == identity


@given(st.text(max_size=40))
def test_any_other_text_is_refused_or_is_exactly_the_uri_of_what_it_gives(text: str) -> None:
    for candidate in (text, f"qinet://{text}", f"qinet://node/{text}", f"qinet://sae/{text}"):
        try:
            identity = identity_from_uri(candidate)
        except InvalidValue:
            continue
        assert identity.uri == candidate


@pytest.mark.parametrize(
    "text",
    [
        "", "node", "node/", "/a", "node/A", "node/-a", "node/a/b", "Node/a", "router/a", "sae/", "sae/a b", "sae/a/b",
        f"sae/{'x' * 65}", f"node/{'x' * 64}", "node/a\n",
    ],
)  # fmt: skip
def test_a_malformed_identity_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue):
        parse_identity(text)
    with pytest.raises(InvalidValue):
        identity_from_uri(f"qinet://{text}")


def test_only_daemons_have_a_dns_name() -> None:
    assert parse_identity("node/a").dns_name == "a.node.qinet"
    assert parse_identity("controller/c-1").dns_name == "c-1.controller.qinet"
    assert parse_identity("user/u").dns_name is None
    assert parse_identity("sae/A.b").dns_name is None


@settings(max_examples=20)
@given(IDENTITIES)
def test_pem_der_and_the_loaded_certificate_name_the_same(identity: Identity) -> None:
    loaded = certificate(uri(identity.uri), x509.DNSName("elsewhere"), uri("https://elsewhere/"))
    assert certificate_identity(loaded) == identity
    assert certificate_identity(loaded.public_bytes(Encoding.PEM)) == identity
    assert certificate_identity(loaded.public_bytes(Encoding.DER)) == identity


def test_a_certificate_without_our_uri_names_nobody() -> None:
    assert reason(certificate()) == "NO_IDENTITY"
    assert reason(certificate(uri("https://node/a"))) == "NO_IDENTITY"
    assert reason(certificate(uri("spiffe://qinet/node/a"))) == "NO_IDENTITY"


def test_a_dns_name_that_reads_like_our_uri_is_no_identity() -> None:
    assert reason(certificate(x509.DNSName("qinet://node/a"))) == "NO_IDENTITY"


def test_a_certificate_with_several_identities_is_refused_naming_them() -> None:
    with pytest.raises(PeerRefused) as refusal:
        certificate_identity(certificate(uri("qinet://node/a"), uri("qinet://user/b")))
    assert refusal.value.reason == "AMBIGUOUS_IDENTITY"
    assert refusal.value.facts() == {"uris": "qinet://node/a qinet://user/b"}


def test_the_same_identity_twice_or_in_capitals_beside_it_is_several() -> None:
    assert reason(certificate(uri("qinet://node/a"), uri("qinet://node/a"))) == "AMBIGUOUS_IDENTITY"
    assert reason(certificate(uri("qinet://node/a"), uri("QINET://node/b"))) == "AMBIGUOUS_IDENTITY"


@pytest.mark.parametrize(
    "text", ["qinet://node/A", "qinet:node/a", "QINET://node/a", "qinet://node/a?x", "qinet://x/a"]
)
def test_a_malformed_uri_of_ours_is_refused_not_passed_over(text: str) -> None:
    assert reason(certificate(uri(text))) == "BAD_IDENTITY"


@given(st.binary(max_size=200))
def test_what_is_no_certificate_is_refused_whatever_it_is(rubbish: bytes) -> None:
    assert reason(rubbish) == "BAD_CERTIFICATE"
    assert reason(b"-----BEGIN CERTIFICATE-----\n" + rubbish) == "BAD_CERTIFICATE"


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")  # of odd serial numbers
@given(st.integers(min_value=0), st.binary(min_size=1, max_size=4))
def test_a_certificate_with_broken_bytes_is_refused_or_still_names_somebody_well_formed(at: int, noise: bytes) -> None:
    der = certificate(uri("qinet://node/a")).public_bytes(Encoding.DER)
    start = at % len(der)
    broken = der[:start] + noise + der[start + len(noise) :]
    try:
        identity = certificate_identity(broken)
    except PeerRefused:
        return
    assert parse_identity(str(identity)) == identity


def test_a_grpc_peer_is_known_by_its_certificate_not_by_the_text_of_its_names() -> None:
    pem = certificate(uri("qinet://node/a")).public_bytes(Encoding.PEM)
    context = {"x509_pem_cert": [pem], "x509_subject_alternative_name": [b"qinet://user/root"]}
    assert auth_context_identity(context) == Identity(Kind.NODE, "a")


@pytest.mark.parametrize("context", [{}, {"x509_pem_cert": []}, {"x509_pem_cert": [b""]}])
def test_a_grpc_peer_without_a_certificate_is_refused(context: dict[str, list[bytes]]) -> None:
    class Plain:
        def auth_context(self) -> dict[str, list[bytes]]:
            return context

    with pytest.raises(PeerRefused) as refusal:
        peer_identity(Plain())
    assert refusal.value.reason == "NO_CERTIFICATE"


def test_a_closed_or_plain_transport_names_nobody() -> None:
    class Plain:
        def get_extra_info(self, name: str, default: object = None) -> object:
            return default

    for transport in (None, Plain()):
        with pytest.raises(PeerRefused) as refusal:
            transport_identity(transport)
        assert refusal.value.reason == "NO_CERTIFICATE"
