"""Certificates and keys that are damaged, as by a copy that was cut off, are refused by name."""

import base64
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.x509 import load_pem_x509_certificate
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.identity.lab_ca import init_ca, issue
from controller.identity.peers import Identity, Kind
from controller.identity.tls_files import TlsFiles, TlsRefused, load_tls

HERE = Identity(Kind.NODE, "a")
NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    pki = tmp_path_factory.mktemp("damaged") / "pki"
    init_ca(pki, now=NOW)
    return issue(pki, HERE, now=NOW)


def refusal(files: TlsFiles, path: Path, der: bytes) -> TlsRefused | None:
    """Try the files with that in place of the content of one of them; return why they are refused, if they are."""
    whole = path.read_text()
    first, *_, last = whole.splitlines()
    path.write_text(f"{first}\n{base64.encodebytes(der).decode()}{last}\n")
    try:
        load_tls(files, now=NOW, expect=HERE)
    except TlsRefused as refused:
        return refused
    finally:
        path.write_text(whole)
    return None


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(which=st.integers(0, 2), place=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255), cut=st.booleans())
def test_a_damaged_file_is_refused_or_as_good_as_whole(
    files: TlsFiles, which: int, place: float, byte: int, cut: bool
) -> None:
    path = (files.certificate, files.key, files.ca)[which]
    der = bytearray(base64.b64decode("".join(path.read_text().splitlines()[1:-1])))
    at = int(place * len(der))
    der[at] = byte
    refused = refusal(files, path, bytes(der[:at] if cut else der))
    assert refused is None or "-----" not in str(refused)


@pytest.mark.parametrize("damage", ["kind", "curve", "point", "version"])
def test_what_can_be_wrong_within_a_certificate_that_is_one_is_refused(files: TlsFiles, damage: str) -> None:
    loaded = load_pem_x509_certificate(files.certificate.read_bytes())
    der = loaded.public_bytes(serialization.Encoding.DER)
    found, other = {
        "kind": (bytes.fromhex("06072a8648ce3d0201"), bytes.fromhex("06072a8648ce3d0207")),
        "curve": (bytes.fromhex("06082a8648ce3d030107"), bytes.fromhex("06082a8648ce3d03010b")),
        "point": (bytes.fromhex("03420004"), bytes.fromhex("03420005")),
        "version": (bytes.fromhex("a003020102"), bytes.fromhex("a003020126")),
    }[damage]
    assert found in der
    refused = refusal(files, files.certificate, der.replace(found, other, 1))
    assert refused is not None
    assert refused.reason == "TLS_FILE_MALFORMED"
    assert str(files.certificate) in str(refused)
