"""Reads the request line of GS QKD 014: which method on which SAE, and the parameters of the GET form."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from controller.domain.names import SAE_RULE, is_sae_id
from southbound.agent.delivery.refused import RequestRefused

_PREFIX: Final = ["", "api", "v1", "keys"]
_PARAMETERS_MAX: Final = 16


class Method(StrEnum):
    """A method of the API; its value is the last segment of the path."""

    STATUS = "status"
    ENC_KEYS = "enc_keys"
    DEC_KEYS = "dec_keys"


_VERBS: Final = {
    Method.STATUS: ("GET",),
    Method.ENC_KEYS: ("GET", "POST"),
    Method.DEC_KEYS: ("GET", "POST"),
}
_PARAMETERS: Final = {
    ("GET", Method.STATUS): frozenset[str](),
    ("GET", Method.ENC_KEYS): frozenset({"number", "size"}),
    ("GET", Method.DEC_KEYS): frozenset({"key_ID"}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a request line asks for.

    Attributes:
        method: Of the API.
        verb: Of HTTP, GET or POST.
        sae: The SAE named in the path: slave of `status` and `enc_keys`, master of `dec_keys`.
        parameters: Of the query, decoded; only those that this method's GET form has, none in a POST.
    """

    method: Method
    verb: str
    sae: str
    parameters: Mapping[str, str] = field(default_factory=dict, repr=False)


def read_target(verb: str, raw: str) -> Target:
    """Read the request line.

    Args:
        verb: The method of HTTP.
        raw: The request target as it came, still percent-encoded.

    Raises:
        RequestRefused: 404 no such path, 405 wrong verb (with Allow), 400 a malformed SAE id or query.
    """
    path, query = _split(raw)
    segments = path.split("/")
    if segments[:4] != _PREFIX or len(segments) != 6 or segments[5] not in set(Method):
        raise RequestRefused(
            404,
            "no such path: this server has /api/v1/keys/{SAE_ID}/status, /enc_keys and /dec_keys",
            reason="NOT_FOUND",
        )
    method = Method(segments[5])
    verbs = _VERBS[method]
    if verb not in verbs:
        # HEAD neither: a key is taken once, and its answer would have no body.
        raise RequestRefused(
            405, f"{method} takes {' or '.join(verbs)}", reason="WRONG_VERB", headers={"Allow": ", ".join(verbs)}
        )
    return Target(method=method, verb=verb, sae=_sae(method, segments[4]), parameters=_parameters(verb, method, query))


def _split(raw: str) -> tuple[str, str]:
    if raw.startswith("/"):
        path, _, query = raw.partition("?")
        return path, query
    try:
        absolute = urlsplit(raw)  # RFC 9112, 3.2.2: a server accepts the absolute form too
    except ValueError:
        return "", ""
    return absolute.path, absolute.query


def _sae(method: Method, segment: str) -> str:
    try:
        sae = unquote(segment, errors="strict")
    except UnicodeDecodeError:
        sae = ""
    if not is_sae_id(sae):
        role = "master" if method is Method.DEC_KEYS else "slave"
        raise RequestRefused(400, f"the {role}_SAE_ID in the path is not {SAE_RULE}")
    return sae


def _parameters(verb: str, method: Method, query: str) -> dict[str, str]:
    if not query:
        return {}
    try:
        pairs = parse_qsl(
            query, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=_PARAMETERS_MAX
        )
    except ValueError:
        raise RequestRefused(400, "the query is malformed: write name=value, joined by '&', in UTF-8") from None
    known = _PARAMETERS.get((verb, method), frozenset())
    if any(name not in known for name, _ in pairs):
        # A parameter that we do not handle must not be dropped in silence: the caller would get other keys.
        allowed = f"only {' and '.join(sorted(known))}" if known else "none"
        remedy = "" if method is Method.STATUS else "; everything else goes into the JSON body of a POST"
        raise RequestRefused(400, f"parameters of {verb} {method} in the URL: {allowed}{remedy}")
    parameters = dict(pairs)
    if len(parameters) != len(pairs):
        raise RequestRefused(400, "a parameter is given twice in the URL")
    return parameters
