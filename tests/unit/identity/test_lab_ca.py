"""The lab CA: what it issues, and what it refuses."""

import ipaddress
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from controller.domain.refusals import InvalidValue
from controller.identity import lab_ca
from controller.identity.lab_ca import PkiRefused
from controller.identity.peers import certificate_identity, parse_identity
from controller.identity.tls_files import files_in, load_tls

NODE = parse_identity("node/koganei")
KINDS = ["node/koganei", "controller/c1", "user/operator", "sae/Alice.app_1~x", "sae/.."]


def read(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def names(path: Path) -> x509.SubjectAlternativeName:
    return read(path).extensions.get_extension_for_class(x509.SubjectAlternativeName).value


def everything_in(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


@pytest.mark.parametrize("text", KINDS)
def test_what_is_issued_goes_together_and_names_whom_it_was_asked_for(pki: Path, now: datetime, text: str) -> None:
    identity = parse_identity(text)
    files = lab_ca.issue(pki, identity, now=now)
    tls = load_tls(files, now=now, expect=identity)
    assert certificate_identity(tls.certificate_pem) == identity
    assert files.certificate == pki / identity.kind / f"{identity.name}.crt"
    assert files.key == pki / identity.kind / f"{identity.name}.key"
    assert files.ca == pki / "ca.crt"


def test_nothing_but_the_named_files_is_left_in_the_directory(pki: Path, now: datetime) -> None:
    lab_ca.issue(pki, NODE, now=now)
    assert sorted(everything_in(pki)) == ["ca.crt", "ca.key", "node/koganei.crt", "node/koganei.key"]


def test_keys_are_for_their_owner_alone(pki: Path, now: datetime) -> None:
    previous = os.umask(0)
    try:
        files = lab_ca.issue(pki, NODE, now=now)
    finally:
        os.umask(previous)
    for key in (pki / "ca.key", files.key):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(files.certificate.stat().st_mode) == 0o644


def test_a_daemon_can_serve_and_call_under_its_own_name_and_on_loopback(pki: Path, now: datetime) -> None:
    files = lab_ca.issue(pki, NODE, now=now, hosts=["Node7.example.org", "192.0.2.7", "2001:db8::7", "127.0.0.1"])
    san = names(files.certificate)
    assert san.get_values_for_type(x509.DNSName) == ["koganei.node.qinet", "localhost", "node7.example.org"]
    assert list(map(str, san.get_values_for_type(x509.IPAddress))) == ["127.0.0.1", "::1", "192.0.2.7", "2001:db8::7"]
    uses = read(files.certificate).extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(uses) == {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH}


@pytest.mark.parametrize("text", ["user/operator", "sae/alice"])
def test_users_and_saes_can_only_call(pki: Path, now: datetime, text: str) -> None:
    files = lab_ca.issue(pki, parse_identity(text), now=now)
    assert len(list(names(files.certificate))) == 1
    uses = read(files.certificate).extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(uses) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    with pytest.raises(InvalidValue, match="serves nothing"):
        lab_ca.issue(pki, parse_identity("user/other"), now=now, hosts=["a.example"])


@pytest.mark.parametrize(
    "host", ["", "a b", "*.example.org", "-a", "a..b", "x" * 64, "b.node.qinet", "B.NODE.QINET", "qinet"]
)
def test_a_host_that_is_none_or_would_pass_for_another_daemon_is_refused(pki: Path, now: datetime, host: str) -> None:
    before = everything_in(pki)
    with pytest.raises(InvalidValue, match="hosts"):
        lab_ca.issue(pki, NODE, now=now, hosts=[host])
    assert everything_in(pki) == before


def test_the_ca_signs_certificates_only_and_no_other_ca(pki: Path) -> None:
    ca = read(pki / "ca.crt").extensions
    constraints = ca.get_extension_for_class(x509.BasicConstraints)
    usage = ca.get_extension_for_class(x509.KeyUsage)
    assert constraints.critical
    assert constraints.value == x509.BasicConstraints(ca=True, path_length=0)
    assert usage.critical
    assert usage.value.key_cert_sign
    assert not usage.value.digital_signature


def test_lifetimes_run_from_the_given_moment_with_room_for_a_clock_that_is_behind(pki: Path, now: datetime) -> None:
    files = lab_ca.issue(pki, NODE, now=now, lifetime=timedelta(days=2))
    whole = now.replace(microsecond=0)
    assert read(files.certificate).not_valid_after_utc == whole + timedelta(days=2)
    assert read(files.certificate).not_valid_before_utc == whole - timedelta(minutes=5)
    assert load_tls(files).not_valid_after == whole + timedelta(days=2)


def test_without_a_lifetime_a_certificate_ends_no_later_than_the_ca(tmp_path: Path, now: datetime) -> None:
    lab_ca.init_ca(tmp_path, now=now, lifetime=timedelta(days=30))
    files = lab_ca.issue(tmp_path, NODE, now=now)
    assert read(files.certificate).not_valid_after_utc == read(tmp_path / "ca.crt").not_valid_after_utc


@pytest.mark.parametrize("days", [0.0, -1.0, 3651.0, 36_501.0])
def test_a_lifetime_of_nothing_or_beyond_the_ca_is_refused(pki: Path, now: datetime, days: float) -> None:
    with pytest.raises(InvalidValue, match="lifetime"):
        lab_ca.issue(pki, NODE, now=now, lifetime=timedelta(days=days))


def test_issuing_without_a_ca_names_the_command_that_makes_one(tmp_path: Path, now: datetime) -> None:
    with pytest.raises(PkiRefused, match="qinetctl pki init") as refusal:
        lab_ca.issue(tmp_path / "none", NODE, now=now)
    assert refusal.value.reason == "NO_CA"
    assert not (tmp_path / "none").exists()


def test_an_expired_ca_issues_nothing(pki: Path, now: datetime) -> None:
    with pytest.raises(PkiRefused, match="pki init --overwrite") as refusal:
        lab_ca.issue(pki, NODE, now=now + timedelta(days=3651))
    assert refusal.value.reason == "CA_EXPIRED"


def test_a_ca_is_not_overwritten_unless_told(pki: Path, now: datetime) -> None:
    before = everything_in(pki)
    with pytest.raises(PkiRefused, match="--overwrite") as refusal:
        lab_ca.init_ca(pki, now=now)
    assert refusal.value.reason == "EXISTS"
    assert everything_in(pki) == before

    lab_ca.init_ca(pki, now=now, overwrite=True)
    assert everything_in(pki).keys() == before.keys()
    assert everything_in(pki)["ca.key"] != before["ca.key"]
    lab_ca.issue(pki, NODE, now=now)


def test_an_identity_is_not_issued_twice_unless_renewed_and_renewing_keeps_its_key(pki: Path, now: datetime) -> None:
    files = lab_ca.issue(pki, NODE, now=now)
    before = everything_in(pki)
    with pytest.raises(PkiRefused, match="--renew") as refusal:
        lab_ca.issue(pki, NODE, now=now)
    assert refusal.value.reason == "EXISTS"
    assert everything_in(pki) == before

    later = now + timedelta(days=100)
    lab_ca.issue(pki, NODE, now=later, renew=True)
    after = everything_in(pki)
    assert [name for name in after if after[name] != before[name]] == ["node/koganei.crt"]
    assert load_tls(files, now=later).not_valid_after == (later + lab_ca.LIFETIME).replace(microsecond=0)


def test_what_an_interrupted_issue_left_is_completed_by_renewing(pki: Path, now: datetime) -> None:
    files = lab_ca.issue(pki, NODE, now=now)
    files.certificate.unlink()
    with pytest.raises(PkiRefused, match="--renew"):
        lab_ca.issue(pki, NODE, now=now)
    load_tls(lab_ca.issue(pki, NODE, now=now, renew=True), now=now)


def test_renewing_what_was_never_issued_issues_it(pki: Path, now: datetime) -> None:
    load_tls(lab_ca.issue(pki, NODE, now=now, renew=True), now=now)


def test_of_many_that_issue_one_name_at_once_one_wins_and_its_files_go_together(pki: Path, now: datetime) -> None:
    def attempt(_: int) -> str:
        try:
            lab_ca.issue(pki, NODE, now=now)
        except PkiRefused as refusal:
            return refusal.reason
        return "issued"

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(attempt, range(8))) == ["EXISTS"] * 7 + ["issued"]
    load_tls(files_in(pki, NODE), now=now)


@pytest.mark.parametrize("damaged", ["ca.crt", "ca.key"])
def test_a_damaged_ca_is_named(pki: Path, now: datetime, damaged: str) -> None:
    (pki / damaged).write_bytes(b"not a PEM file")
    with pytest.raises(PkiRefused, match=damaged):
        lab_ca.issue(pki, NODE, now=now)


def test_a_ca_key_of_another_ca_issues_nothing(pki: Path, now: datetime, tmp_path: Path) -> None:
    lab_ca.init_ca(tmp_path / "other", now=now)
    (pki / "ca.key").write_bytes((tmp_path / "other" / "ca.key").read_bytes())
    with pytest.raises(PkiRefused, match="not the key of") as refusal:
        lab_ca.issue(pki, NODE, now=now)
    assert refusal.value.reason == "CA_UNREADABLE"


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, now: datetime) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(PkiRefused, match="file") as refusal:
        lab_ca.init_ca(tmp_path / "file", now=now)
    assert refusal.value.reason == "NOT_WRITABLE"


def test_host_addresses_are_addresses_not_names(pki: Path, now: datetime) -> None:
    files = lab_ca.issue(pki, NODE, now=now, hosts=["192.0.2.7"])
    assert ipaddress.ip_address("192.0.2.7") in names(files.certificate).get_values_for_type(x509.IPAddress)
    assert "192.0.2.7" not in names(files.certificate).get_values_for_type(x509.DNSName)
