"""A certificate authority for laboratories: one directory, one CA, a certificate for each party.

Layout: `{dir}/ca.crt`, `{dir}/ca.key`, `{dir}/{kind}/{name}.crt` and `.key`. EC P-256 throughout. It revokes
nothing: a leaked key is answered by a new CA.
"""

import ipaddress
import os
import re
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NoReturn

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from controller.domain.refusals import InvalidValue, Refusal
from controller.identity.peers import DAEMONS, Identity
from controller.identity.tls_files import TlsFiles, files_in

CA_LIFETIME: Final = timedelta(days=3650)
LIFETIME: Final = timedelta(days=397)
_LONGEST: Final = timedelta(days=36_500)
# Hosts of a laboratory disagree about the time by minutes; a certificate must be valid at once on all of them.
_BACKDATED: Final = timedelta(minutes=5)
_HOST: Final = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*"
)
_ABOUT_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")


class PkiRefused(Refusal):
    """The CA can't do it as asked; names the file and the remedy.

    Reasons in use: NO_CA, CA_UNREADABLE, CA_EXPIRED, KEY_UNREADABLE, EXISTS, NOT_WRITABLE.
    """


def init_ca(directory: Path, *, now: datetime, lifetime: timedelta = CA_LIFETIME, overwrite: bool = False) -> Path:
    """Make a CA in the directory (made if missing), and return the path of its certificate.

    Args:
        directory: Where it will live.
        now: Aware.
        lifetime: From `now`; in (0, 100 years].
        overwrite: Replace a CA that is there. What it issued is worthless from then on.

    Raises:
        InvalidValue: The lifetime is out of range.
        PkiRefused: EXISTS or NOT_WRITABLE.
    """
    _check_lifetime(lifetime)
    certificate_path, key_path = directory / "ca.crt", directory / "ca.key"
    if not overwrite:
        for path in (key_path, certificate_path):
            _refuse_existing(
                path, "keep using that CA, or replace it with --overwrite: what it issued is then worthless"
            )
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Qinet lab CA")])
    certificate = (
        _builder(name, name, key.public_key(), now, now + lifetime)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write(key_path, _key_pem(key), mode=0o600, overwrite=overwrite)
    _write(certificate_path, _pem(certificate), mode=0o644, overwrite=overwrite)
    return certificate_path


def issue(
    directory: Path,
    identity: Identity,
    *,
    now: datetime,
    lifetime: timedelta | None = None,
    hosts: Sequence[str] = (),
    renew: bool = False,
) -> TlsFiles:
    """Issue a certificate, and return where it, its key and the CA's certificate are.

    Daemons (nodes, controllers) can serve and call: besides the identity they carry `{name}.{kind}.qinet`,
    localhost and the loopback addresses. Users and SAEs can only call.

    Args:
        directory: Where `init_ca` made the CA.
        identity: For whom.
        now: Aware.
        lifetime: From `now`; in (0, 100 years] and not beyond the CA's end. Without it 397 days, or until the CA's end.
        hosts: More host names or IP addresses under which HTTPS clients reach a daemon.
        renew: Replace a certificate that is there, by one for the same key.

    Raises:
        InvalidValue: The lifetime or a host is.
        PkiRefused: See there.
    """
    ca, ca_key = _load_ca(directory, now)
    until = _end(now, lifetime, ca)
    files = files_in(directory, identity)
    if not renew:
        for path in (files.key, files.certificate):
            _refuse_existing(path, f"renew the certificate with `qinetctl pki issue {identity} --renew`")
    names = _alternative_names(identity, hosts)
    kept = _kept_key(files.key) if renew else None
    key = kept or ec.generate_private_key(ec.SECP256R1())
    uses = [ExtendedKeyUsageOID.CLIENT_AUTH, *([ExtendedKeyUsageOID.SERVER_AUTH] if identity.kind in DAEMONS else [])]
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, identity.name)])
    certificate = (
        _builder(subject, ca.subject, key.public_key(), now, until)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    # The key goes first and is claimed exclusively: of two that issue one name at once, one is refused, and a
    # certificate never stands beside another's key.
    if kept is None:
        _write(files.key, _key_pem(key), mode=0o600, overwrite=False)
    _write(files.certificate, _pem(certificate), mode=0o644, overwrite=renew)
    return files


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, until: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_whole_seconds(now) - _BACKDATED)
        .not_valid_after(_whole_seconds(until))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _whole_seconds(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(microsecond=0)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _alternative_names(identity: Identity, hosts: Sequence[str]) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(identity.uri)]
    if identity.dns_name is None:
        if hosts:
            raise InvalidValue("", ("hosts", f"{identity} serves nothing: only nodes and controllers have hosts"))
        return names
    names.append(x509.DNSName(identity.dns_name))
    return [*names, *map(_host, dict.fromkeys((*_ABOUT_LOOPBACK, *hosts)))]


def _host(text: str) -> x509.GeneralName:
    with suppress(ValueError):
        return x509.IPAddress(ipaddress.ip_address(text))
    lowered = text.lower()
    if not _HOST.fullmatch(lowered):
        raise InvalidValue("", ("hosts", f"{text!r} is neither a host name nor an IP address"))
    if lowered.rsplit(".", 1)[-1] == "qinet":
        # Who a daemon is stands under .qinet, and a host there would let it pass for another.
        raise InvalidValue("", ("hosts", f"{text!r}: names under .qinet say who a daemon is, not where it is"))
    return x509.DNSName(lowered)


def _check_lifetime(lifetime: timedelta) -> None:
    if not timedelta(seconds=1) <= lifetime <= _LONGEST:
        raise InvalidValue("", ("lifetime", f"{lifetime} is not between 1 second and {_LONGEST.days} days"))


def _end(now: datetime, lifetime: timedelta | None, ca: x509.Certificate) -> datetime:
    last = ca.not_valid_after_utc
    if lifetime is None:
        return min(now + LIFETIME, last)
    _check_lifetime(lifetime)
    if now + lifetime > last:
        raise InvalidValue("", ("lifetime", f"{lifetime} ends after the CA, at {last:%Y-%m-%d}: ask for less"))
    return now + lifetime


def _load_ca(directory: Path, now: datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    certificate_path, key_path = directory / "ca.crt", directory / "ca.key"
    certificate_pem, key_pem = _read_ca(certificate_path), _read_ca(key_path)
    try:
        certificate = x509.load_pem_x509_certificate(certificate_pem)
    except ValueError:
        _refuse(
            "CA_UNREADABLE", certificate_path, "holds no certificate: restore it, or `qinetctl pki init --overwrite`"
        )
    key = _private_key(key_path, key_pem)
    if key.public_key() != certificate.public_key():
        _refuse(
            "CA_UNREADABLE",
            key_path,
            f"is not the key of {certificate_path}: restore it, or `qinetctl pki init --overwrite`",
        )
    if now >= certificate.not_valid_after_utc:
        _refuse(
            "CA_EXPIRED",
            certificate_path,
            f"expired at {certificate.not_valid_after_utc:%Y-%m-%d}: make a new CA with "
            "`qinetctl pki init --overwrite` and issue all certificates again",
        )
    return certificate, key


def _read_ca(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        _refuse("NO_CA", path, "does not exist: make a CA with `qinetctl pki init`")
    except OSError as problem:
        _refuse("CA_UNREADABLE", path, f"cannot be read ({problem.strerror}): issue as the user who made the CA")


def _kept_key(path: Path) -> ec.EllipticCurvePrivateKey | None:
    try:
        return _private_key(path, path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as problem:
        _refuse("KEY_UNREADABLE", path, f"cannot be read ({problem.strerror}): renew as the user whom it belongs to")


def _private_key(path: Path, pem: bytes) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        _refuse(
            "KEY_UNREADABLE", path, "holds no unencrypted elliptic-curve key: restore it, or remove it and start anew"
        )
    return key


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _refuse_existing(path: Path, remedy: str) -> None:
    if os.path.lexists(path):
        _refuse("EXISTS", path, f"exists already: {remedy}")


def _write(path: Path, content: bytes, *, mode: int, overwrite: bool) -> None:
    """Put the whole content under that name, or nothing; never seen half written, never with wider rights."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with open(descriptor, "wb") as file:
                os.fchmod(descriptor, mode)
                file.write(content)
                file.flush()
                os.fsync(descriptor)
            _name(Path(name), path, overwrite=overwrite)
        finally:
            Path(name).unlink(missing_ok=True)
    except OSError as problem:
        _refuse("NOT_WRITABLE", path, f"cannot be written ({problem.strerror}): choose a directory of yours")


def _name(written: Path, path: Path, *, overwrite: bool) -> None:
    if overwrite:
        written.replace(path)
        return
    try:
        path.hardlink_to(written)  # fails where the name is taken, in the same step
    except FileExistsError:
        _refuse("EXISTS", path, "exists already: somebody made it just now; use that one")


def _refuse(reason: str, path: Path, problem: str) -> NoReturn:
    raise PkiRefused(reason, f"{path}: {problem}", {"file": path}) from None
