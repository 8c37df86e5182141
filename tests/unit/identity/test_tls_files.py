"""Files that do not go together are refused before anything connects, naming the file and the remedy."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from controller.domain.refusals import InvalidValue
from controller.identity import lab_ca
from controller.identity.credentials import channel_options, grpc_server_credentials, https_server_context
from controller.identity.peers import parse_identity
from controller.identity.tls_files import TlsFiles, TlsRefused, load_tls

NODE = parse_identity("node/a")


@pytest.fixture
def files(pki: Path, now: datetime) -> TlsFiles:
    return lab_ca.issue(pki, NODE, now=now)


def refusal_of(files: TlsFiles, **more: object) -> TlsRefused:
    with pytest.raises(TlsRefused) as refusal:
        load_tls(files, **more)  # type: ignore[arg-type]
    return refusal.value


@pytest.mark.parametrize("which", ["ca", "certificate", "key"])
def test_a_missing_file_is_named_with_the_command_that_makes_it(files: TlsFiles, which: str) -> None:
    path: Path = getattr(files, which)
    path.unlink()
    refusal = refusal_of(files)
    assert refusal.reason == "TLS_FILE_MISSING"
    assert refusal.facts() == {"file": str(path)}
    assert str(path) in refusal.message
    assert "qinetctl pki" in refusal.message


@pytest.mark.parametrize("which", ["ca", "certificate", "key"])
def test_a_file_that_cannot_be_read_is_named(files: TlsFiles, which: str) -> None:
    path: Path = getattr(files, which)
    path.unlink()
    path.mkdir()
    refusal = refusal_of(files)
    assert refusal.reason == "TLS_FILE_UNREADABLE"
    assert refusal.facts() == {"file": str(path)}


@pytest.mark.parametrize("which", ["ca", "certificate", "key"])
@pytest.mark.parametrize(
    "content", [b"", b"rubbish", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_a_file_that_holds_something_else_is_named(files: TlsFiles, which: str, content: bytes) -> None:
    path: Path = getattr(files, which)
    path.write_bytes(content)
    refusal = refusal_of(files)
    assert refusal.reason == "TLS_FILE_MALFORMED"
    assert refusal.facts() == {"file": str(path)}


def test_an_encrypted_key_is_refused_as_such(files: TlsFiles) -> None:
    key = load_pem_private_key(files.key.read_bytes(), password=None)
    files.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")))
    assert "encrypted" in refusal_of(files).message


def test_a_key_of_another_certificate_is_refused(pki: Path, files: TlsFiles, now: datetime) -> None:
    other = lab_ca.issue(pki, parse_identity("node/b"), now=now)
    refusal = refusal_of(TlsFiles(ca=files.ca, certificate=files.certificate, key=other.key))
    assert refusal.reason == "TLS_KEY_MISMATCH"
    assert refusal.facts() == {"file": str(other.key)}


def test_a_certificate_of_another_ca_is_refused(files: TlsFiles, now: datetime, tmp_path: Path) -> None:
    other = lab_ca.init_ca(tmp_path / "other", now=now)
    refusal = refusal_of(TlsFiles(ca=other, certificate=files.certificate, key=files.key))
    assert refusal.reason == "TLS_WRONG_CA"


def test_a_bundle_of_old_and_new_ca_is_believed(files: TlsFiles, now: datetime, tmp_path: Path) -> None:
    other = lab_ca.init_ca(tmp_path / "other", now=now)
    files.ca.write_bytes(other.read_bytes() + files.ca.read_bytes())
    assert load_tls(files).identity == NODE


def test_a_certificate_that_names_nobody_is_refused(pki: Path) -> None:
    refusal = refusal_of(TlsFiles(ca=pki / "ca.crt", certificate=pki / "ca.crt", key=pki / "ca.key"))
    assert refusal.reason == "TLS_NO_IDENTITY"


def test_a_certificate_for_somebody_else_is_refused_naming_both(files: TlsFiles) -> None:
    refusal = refusal_of(files, expect=parse_identity("node/b"))
    assert refusal.reason == "TLS_WRONG_IDENTITY"
    assert "node/a" in refusal.message
    assert "node/b" in refusal.message


def test_a_certificate_is_refused_before_and_after_its_time(files: TlsFiles, now: datetime) -> None:
    tls = load_tls(files, now=now)
    load_tls(files, now=tls.not_valid_after)
    expired = refusal_of(files, now=tls.not_valid_after + timedelta(seconds=1))
    assert expired.reason == "TLS_EXPIRED"
    assert "qinetctl pki issue node/a --renew" in expired.message
    early = refusal_of(files, now=now - timedelta(hours=1))
    assert early.reason == "TLS_NOT_YET_VALID"
    assert "clock" in early.message


def test_what_was_loaded_shows_no_key(files: TlsFiles) -> None:
    tls = load_tls(files)
    assert "PRIVATE" not in repr(tls)
    assert "PRIVATE" not in str(tls)


def test_a_user_cannot_serve(pki: Path, now: datetime) -> None:
    tls = load_tls(lab_ca.issue(pki, parse_identity("user/u"), now=now))
    for build in (grpc_server_credentials, https_server_context):
        with pytest.raises(TlsRefused) as refusal:
            build(tls)
        assert refusal.value.reason == "TLS_NOT_A_SERVER"


def test_only_a_daemon_is_dialled() -> None:
    assert channel_options(NODE, [("x", 1)]) == [("grpc.ssl_target_name_override", "a.node.qinet"), ("x", 1)]
    with pytest.raises(InvalidValue, match="only nodes and controllers"):
        channel_options(parse_identity("sae/alice"))
