"""Who a peer is: the identity in a certificate, `qinet://{kind}/{name}` as a URI SAN."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final, Protocol

from cryptography import x509

from controller.domain.names import LABEL_RULE, SAE_RULE, is_label, is_sae_id
from controller.domain.refusals import InvalidValue, Refusal

_SCHEME: Final = "qinet:"


class Kind(StrEnum):
    """What a peer is; equal to its own text, so `identity.kind == "node"` holds."""

    NODE = "node"  # a node agent
    USER = "user"  # an operator, or a program of theirs
    CONTROLLER = "controller"
    SAE = "sae"  # an application that fetches keys over GS QKD 014


DAEMONS: Final = frozenset({Kind.NODE, Kind.CONTROLLER})


class PeerRefused(Refusal):
    """A peer is not who it must be, or does not say who it is.

    Reasons in use: NO_CERTIFICATE, BAD_CERTIFICATE, NO_IDENTITY, AMBIGUOUS_IDENTITY, BAD_IDENTITY, TLS_TOO_OLD,
    KIND_NOT_ALLOWED.
    """


@dataclass(frozen=True, slots=True, order=True)
class Identity:
    """One party of the network, as its certificate names it.

    Attributes:
        kind: What it is.
        name: A DNS label; for an SAE its id (1-64 of `A-Za-z0-9._~-`).

    Raises:
        InvalidValue: The name does not suit the kind.
    """

    kind: Kind
    name: str

    def __post_init__(self) -> None:
        fits, rule = (is_sae_id, SAE_RULE) if self.kind is Kind.SAE else (is_label, LABEL_RULE)
        if not fits(self.name):
            raise InvalidValue("", (f"{self.kind} name", f"{self.name!r} is not {rule}"))

    @property
    def uri(self) -> str:
        """The URI SAN of its certificate: `qinet://{kind}/{name}`."""
        return f"qinet://{self.kind}/{self.name}"

    @property
    def dns_name(self) -> str | None:
        """The DNS SAN by which a client checks it, `{name}.{kind}.qinet`; None for users and SAEs."""
        return f"{self.name}.{self.kind}.qinet" if self.kind in DAEMONS else None

    def __str__(self) -> str:
        """The short form, `{kind}/{name}`, as `parse_identity` reads it."""
        return f"{self.kind}/{self.name}"


def parse_identity(text: str) -> Identity:
    """Read the short form `{kind}/{name}`.

    >>> parse_identity("node/koganei")
    Identity(kind=<Kind.NODE: 'node'>, name='koganei')

    Raises:
        InvalidValue: It has another form, an unknown kind, or a name that does not suit the kind.
    """
    kind, slash, name = text.partition("/")
    if not slash or kind not in set(Kind):
        raise InvalidValue("", ("identity", f"{text!r} is not node/NAME, user/NAME, controller/NAME or sae/NAME"))
    return Identity(Kind(kind), name)


def identity_from_uri(uri: str) -> Identity:
    """Read `qinet://{kind}/{name}`.

    >>> str(identity_from_uri("qinet://sae/alice.app_1~x"))
    'sae/alice.app_1~x'

    Raises:
        InvalidValue: It has another form, an unknown kind, or a name that does not suit the kind.
    """
    short = uri.removeprefix("qinet://")
    if short == uri:
        raise InvalidValue("", ("identity", f"{uri!r} is not of the form qinet://{{kind}}/{{name}}"))
    return parse_identity(short)


def certificate_identity(certificate: bytes | x509.Certificate) -> Identity:
    """Return the identity in a certificate (PEM, DER or loaded). It does not check who signed it: TLS does.

    Raises:
        PeerRefused: It is no certificate, or has no qinet URI, several, or a malformed one.
    """
    try:
        if isinstance(certificate, x509.Certificate):
            loaded = certificate
        elif certificate.lstrip().startswith(b"-----"):
            loaded = x509.load_pem_x509_certificate(certificate)
        else:
            loaded = x509.load_der_x509_certificate(certificate)
        names = loaded.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        uris = []
    except (ValueError, x509.DuplicateExtension, x509.InvalidVersion) as problem:
        raise PeerRefused("BAD_CERTIFICATE", f"the certificate cannot be read: {problem}") from None
    else:
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    return _identity_among(uris)


def _identity_among(uris: Iterable[str]) -> Identity:
    # A scheme is case-insensitive, so that QINET: cannot hide a second identity; only ours in lower case is accepted.
    ours = [uri for uri in uris if uri.lower().startswith(_SCHEME)]
    if not ours:
        raise PeerRefused(
            "NO_IDENTITY",
            "the certificate carries no URI SAN qinet://{node|user|controller|sae}/{name}: "
            "issue one with `qinetctl pki issue`",
        )
    if len(ours) > 1:
        raise PeerRefused(
            "AMBIGUOUS_IDENTITY",
            f"the certificate carries several qinet URIs ({', '.join(ours)}): issue one for each",
            {"uris": " ".join(ours)},
        )
    try:
        return identity_from_uri(ours[0])
    except InvalidValue as problem:
        raise PeerRefused(
            "BAD_IDENTITY", f"the certificate's qinet URI is malformed: {problem}", {"uri": ours[0]}
        ) from None


AuthContext = Mapping[str, Iterable[bytes]]


class Call(Protocol):
    """What is needed of a servicer's context; both grpc and grpc.aio have it."""

    def auth_context(self) -> AuthContext:
        """Return what the transport knows of the peer."""


def auth_context_identity(auth_context: AuthContext) -> Identity:
    """Return the identity of a gRPC peer from `context.auth_context()`.

    Raises:
        PeerRefused: It showed no certificate, or one without exactly one valid qinet URI.
    """
    # The SAN property mixes DNS names and URIs as plain text; only the certificate tells them apart.
    certificate = next(iter(auth_context.get("x509_pem_cert", ())), None)
    if not certificate:
        raise PeerRefused("NO_CERTIFICATE", "the peer showed no certificate: connect with one, over mutual TLS")
    return _remembered(bytes(certificate))


@lru_cache(maxsize=4096)
def _remembered(certificate: bytes) -> Identity:
    # A pure function of the certificate, asked for on every call of a connection.
    return certificate_identity(certificate)


def peer_identity(context: Call) -> Identity:
    """Return who calls, in a servicer of grpc or grpc.aio.

    Raises:
        PeerRefused: As `auth_context_identity`; never behind an `IdentityInterceptor`.
    """
    return auth_context_identity(context.auth_context())


class Transport(Protocol):
    """What is needed of an asyncio transport (aiohttp: `request.transport`)."""

    def get_extra_info(self, name: str, default: object = None) -> object:
        """Return what the transport knows under that name."""


class _SslObject(Protocol):
    def getpeercert(self, binary_form: bool = False, /) -> object: ...


def transport_identity(transport: Transport | None) -> Identity:
    """Return the identity of the peer of an asyncio TLS connection.

    Raises:
        PeerRefused: The connection is gone or plain, or its certificate has not exactly one valid qinet URI.
    """
    tls: _SslObject | None = None if transport is None else transport.get_extra_info("ssl_object")  # type: ignore[assignment]
    certificate = None if tls is None else tls.getpeercert(True)
    if not isinstance(certificate, bytes) or not certificate:
        raise PeerRefused("NO_CERTIFICATE", "the peer showed no certificate: connect with one, over mutual TLS")
    return _remembered(certificate)
