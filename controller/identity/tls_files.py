"""The three files with which a party proves who it is, read and checked as a whole before anything connects."""

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import NoReturn

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes, PrivateKeyTypes

from controller.domain.refusals import Refusal
from controller.identity.peers import Identity, PeerRefused, certificate_identity


class TlsRefused(Refusal):
    """A TLS file is missing, unreadable, or does not go with the others; names the file and the remedy.

    Reasons in use: TLS_FILE_MISSING, TLS_FILE_UNREADABLE, TLS_FILE_MALFORMED, TLS_KEY_MISMATCH, TLS_WRONG_CA,
    TLS_NO_IDENTITY, TLS_WRONG_IDENTITY, TLS_EXPIRED, TLS_NOT_YET_VALID, TLS_NOT_A_SERVER.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """Where the files are, all PEM.

    Attributes:
        ca: Certificates of the CAs whose peers are believed.
        certificate: Ours, followed by intermediate certificates if there are any.
        key: Its private key, unencrypted.
    """

    ca: Path
    certificate: Path
    key: Path


def files_in(directory: Path, identity: Identity) -> TlsFiles:
    """Return where `qinetctl pki` keeps an identity's files: `{dir}/ca.crt`, `{dir}/{kind}/{name}.crt` and `.key`."""
    folder = directory / identity.kind
    return TlsFiles(
        ca=directory / "ca.crt", certificate=folder / f"{identity.name}.crt", key=folder / f"{identity.name}.key"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """Files that were read and go together. Its repr shows no key.

    Attributes:
        files: Where they were read.
        identity: Whom the certificate names.
        not_valid_before: First moment of the certificate; UTC.
        not_valid_after: Last moment of the certificate; UTC.
        ca_not_valid_after: Last moment of the CA that ends last; UTC.
    """

    files: TlsFiles
    identity: Identity
    not_valid_before: datetime
    not_valid_after: datetime
    ca_not_valid_after: datetime
    _pem: tuple[bytes, bytes, bytes]

    def __repr__(self) -> str:
        return f"Tls({self.identity}, {self.files.certificate}, until {self.not_valid_after:%Y-%m-%d})"

    @property
    def ca_pem(self) -> bytes:
        """The CA certificates as read."""
        return self._pem[0]

    @property
    def certificate_pem(self) -> bytes:
        """The certificate chain as read."""
        return self._pem[1]

    @property
    def key_pem(self) -> bytes:
        """The private key as read: never log it."""
        return self._pem[2]


def load_tls(files: TlsFiles, *, now: datetime | None = None, expect: Identity | None = None) -> Tls:
    """Read the files and see that they go together.

    Args:
        files: Where they are.
        now: If given, the certificate must be valid at that moment (aware).
        expect: If given, whom the certificate must name.

    Raises:
        TlsRefused: See there.
    """
    ca_pem = _read(files.ca, "CA certificate", "`qinetctl pki init` makes one")
    certificate_pem = _read(files.certificate, "certificate", "`qinetctl pki issue KIND/NAME` makes one")
    key_pem = _read(files.key, "private key", "`qinetctl pki issue KIND/NAME` makes one")
    authorities = _certificates(files.ca, ca_pem)
    chain = _certificates(files.certificate, certificate_pem)
    leaf = chain[0]
    if _private_key(files.key, key_pem).public_key() != _public_key(files.certificate, leaf):
        _refuse("TLS_KEY_MISMATCH", files.key, f"is not the key of {files.certificate}: use the pair issued together")
    if not _leads_to(chain, authorities):
        _refuse("TLS_WRONG_CA", files.certificate, f"was not issued by {files.ca}: use that CA's, or issue it again")
    try:
        identity = certificate_identity(leaf)
    except PeerRefused as problem:
        _refuse("TLS_NO_IDENTITY", files.certificate, f"names nobody: {problem}")
    if expect is not None and identity != expect:
        _refuse("TLS_WRONG_IDENTITY", files.certificate, f"is for {identity}, not for {expect}: use {expect}'s")
    tls = Tls(
        files=files,
        identity=identity,
        not_valid_before=leaf.not_valid_before_utc,
        not_valid_after=min(one.not_valid_after_utc for one in chain),
        ca_not_valid_after=max(one.not_valid_after_utc for one in authorities),
        _pem=(ca_pem, certificate_pem, key_pem),
    )
    if now is not None:
        _check_time(tls, now)
    return tls


def _check_time(tls: Tls, now: datetime) -> None:
    if now > tls.not_valid_after:
        _refuse(
            "TLS_EXPIRED",
            tls.files.certificate,
            f"expired at {_shown(tls.not_valid_after)}: renew it with `qinetctl pki issue {tls.identity} --renew`",
        )
    if now < tls.not_valid_before:
        _refuse(
            "TLS_NOT_YET_VALID",
            tls.files.certificate,
            f"is valid only from {_shown(tls.not_valid_before)}, and here it is {_shown(now)}: check this host's clock",
        )


def _shown(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _leads_to(chain: list[x509.Certificate], authorities: list[x509.Certificate]) -> bool:
    return all(_issued_by(child, parent) for child, parent in pairwise(chain)) and any(
        _issued_by(chain[-1], authority) for authority in authorities
    )


def _issued_by(child: x509.Certificate, parent: x509.Certificate) -> bool:
    try:
        child.verify_directly_issued_by(parent)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _read(path: Path, what: str, remedy: str) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        _refuse("TLS_FILE_MISSING", path, f"does not exist; it should hold the {what}: {remedy}")
    except OSError as problem:
        _refuse(
            "TLS_FILE_UNREADABLE",
            path,
            f"cannot be read ({problem.strerror}); it should hold the {what}: let us read it",
        )


def _certificates(path: Path, pem: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except (ValueError, x509.InvalidVersion):
        _refuse("TLS_FILE_MALFORMED", path, "holds no PEM certificate: check that the files are not mixed up")


def _public_key(path: Path, certificate: x509.Certificate) -> CertificatePublicKeyTypes:
    try:
        return certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        _refuse("TLS_FILE_MALFORMED", path, "is for a key of no known kind, or is damaged: issue it again")


def _private_key(path: Path, pem: bytes) -> PrivateKeyTypes:
    try:
        return serialization.load_pem_private_key(pem, password=None)
    except TypeError:
        _refuse(
            "TLS_FILE_MALFORMED", path, "holds an encrypted key: decrypt it, daemons start with nobody there to ask"
        )
    except (ValueError, UnsupportedAlgorithm):
        _refuse("TLS_FILE_MALFORMED", path, "holds no PEM private key: check that the files are not mixed up")


def _refuse(reason: str, path: Path, problem: str) -> NoReturn:
    raise TlsRefused(reason, f"{path}: {problem}", {"file": path}) from None
