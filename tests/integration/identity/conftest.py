"""A lab CA on the real clock, and parties that it knows."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from controller.identity import lab_ca
from controller.identity.peers import parse_identity
from controller.identity.tls_files import Tls, load_tls

Party = Callable[[str], Tls]


def _parties_of(directory: Path) -> Party:
    lab_ca.init_ca(directory, now=datetime.now(UTC))

    def party(text: str) -> Tls:
        return load_tls(lab_ca.issue(directory, parse_identity(text), now=datetime.now(UTC)))

    return party


@pytest.fixture
def party(tmp_path: Path) -> Party:
    """Make the TLS files of `kind/name`, from the CA that the test's servers believe."""
    return _parties_of(tmp_path / "pki")


@pytest.fixture
def expired(party: Party, tmp_path: Path) -> Party:
    """The same, from the believed CA, with certificates that ended a minute ago."""
    issued = datetime.now(UTC) - timedelta(hours=1)

    def late(text: str) -> Tls:
        files = lab_ca.issue(tmp_path / "pki", parse_identity(text), now=issued, lifetime=timedelta(minutes=59))
        return load_tls(files)

    return late


@pytest.fixture
def stranger(tmp_path: Path) -> Party:
    """The same from a CA that nobody here believes."""
    return _parties_of(tmp_path / "elsewhere")


@pytest.fixture
def nameless(party: Party, tmp_path: Path) -> grpc.ChannelCredentials:
    """A client certificate of the believed CA, as other tools make them: without a qinet URI."""
    whole = party("user/whole")
    directory = tmp_path / "pki"
    ca = x509.load_pem_x509_certificate(whole.ca_pem)
    ca_key = serialization.load_pem_private_key((directory / "ca.key").read_bytes(), password=None)
    assert isinstance(ca_key, ec.EllipticCurvePrivateKey)
    key = serialization.load_pem_private_key(whole.key_pem, password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    start = datetime.now(UTC) - timedelta(minutes=1)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "qinet://user/whole")])
    builder = x509.CertificateBuilder(ca.subject, subject, key.public_key(), x509.random_serial_number())
    certificate = (
        builder.not_valid_before(start).not_valid_after(start + timedelta(days=1)).sign(ca_key, hashes.SHA256())
    )
    return grpc.ssl_channel_credentials(
        whole.ca_pem, whole.key_pem, certificate.public_bytes(serialization.Encoding.PEM)
    )
