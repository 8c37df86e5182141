"""Reads a JSON object out of a request body, with the place of every mistake and none of the guesses."""

import json
from collections.abc import Mapping, Sequence
from typing import Final, Never

from southbound.agent.delivery.refused import RequestRefused

_CONTENT_TYPE: Final = "application/json"
_INTEGER_MAX: Final = 2**31 - 1


def read_object(content_type: str | None, body: bytes) -> dict[str, object]:
    """Return the object that a body holds; an empty body holds an empty one.

    Raises:
        RequestRefused: 415 another content type, 400 no JSON object in UTF-8, or a member named twice in it.
    """
    if not body.strip():
        return {}
    _check_content_type(content_type)
    try:
        value = json.loads(body.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        # Not saying where: the parser's own words would quote the body.
        raise RequestRefused(400, "the body is not JSON (RFC 8259) in UTF-8") from None
    if not isinstance(value, dict):
        raise RequestRefused(400, "the body is not a JSON object")
    return value


def only_members(value: Mapping[str, object], known: Sequence[str], where: str) -> None:
    """See that an object has no other members.

    The standard has `extension_optional` for what a KME may ignore, so nothing else is ignored.

    Raises:
        RequestRefused: 400, it has.
    """
    if unknown := sorted(value.keys() - set(known)):
        raise RequestRefused(
            400,
            f"{where} has {len(unknown)} unknown member(s); known here: {', '.join(known)}",
            [{"unknown_members": [name[:64] for name in unknown[:16]]}],
        )


def integer(value: object, name: str) -> int:
    """Return the value if it is an integer, at least 1.

    Raises:
        RequestRefused: 400, it is not.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise RequestRefused(400, f"{name} is not an integer")
    if not 1 <= value <= _INTEGER_MAX:
        raise RequestRefused(400, f"{name} is not in 1 to {_INTEGER_MAX}")
    return value


def objects(value: object, name: str) -> list[dict[str, object]]:
    """Return the value if it is an array of objects.

    Raises:
        RequestRefused: 400, it is not.
    """
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise RequestRefused(400, f"{name} is not an array of objects")
    return value


def _check_content_type(content_type: str | None) -> None:
    media, *parameters = (part.strip().lower() for part in (content_type or "").split(";"))
    charsets = {
        value.strip("\"' ")
        for name, _, value in (part.partition("=") for part in parameters)
        if name.strip() == "charset"
    }
    if media != _CONTENT_TYPE or charsets - {"utf-8", "utf8"}:
        raise RequestRefused(
            415, f"the Content-Type of a body is {_CONTENT_TYPE}, in UTF-8", reason="WRONG_CONTENT_TYPE"
        )


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise RequestRefused(400, "an object in the body has a member named twice")
    return value


def _no_constant(_: str) -> Never:
    raise ValueError
