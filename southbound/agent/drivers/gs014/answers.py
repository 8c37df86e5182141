"""What a GS QKD 014 source answered -> values, or why it cannot be used. Nothing of a key gets into a reason."""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from southbound.agent.drivers.gs014.steps import Failed, Key, Keys, Source, Trouble, is_key_id, wipe

_MOST_OF_ALL: Final = 2**53
_KNOWN_MESSAGES: Final = frozenset(
    {
        "size shall be a multiple of 8",
        "not all extension_mandatory parameters are supported",
        "not all extension_mandatory request options could be met",
        "not all extension_optional request options handled",
        "one or more keys specified are not found on KME",
    }
)
"""Texts that the standard fixes (table A.8 of our notes); any other might hold what must not be told on."""


def refusal(what: str, status: int, body: bytes | bytearray) -> Failed:
    """Return what an answer other than 200 means; `what` names the request."""
    match status:
        case HTTPStatus.SERVICE_UNAVAILABLE:
            return Failed(trouble=Trouble.NO_KEY, reason=f"the key source has no key now ({what}: 503)")
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            reason = f"the key source does not let this SAE in ({what}: {status}): look at its certificate and id"
            return Failed(trouble=Trouble.REFUSES, reason=reason)
    told = ""
    message = parsed.get("message") if isinstance(parsed := _json(body), Mapping) else None
    if isinstance(message, str) and message in _KNOWN_MESSAGES:
        told = f", {message}"
    return Failed(trouble=Trouble.REFUSES, reason=f"the key source refuses ({what}: {status}{told})")


def source(body: bytes | bytearray) -> Source | Failed:
    """Read an answer to GET status."""
    found = _json(body)
    if not isinstance(found, Mapping):
        return _unusable("status", "no JSON object")
    numbers: dict[str, int] = {}
    for name in (
        "key_size", "stored_key_count", "max_key_count", "max_key_per_request", "max_key_size", "min_key_size",
    ):  # fmt: skip
        number = found.get(name)
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < _MOST_OF_ALL:
            return _unusable("status", f"{name} is missing, or no whole number")
        numbers[name] = number
    return Source(
        key_size_bit=numbers["key_size"],
        stored_keys=numbers["stored_key_count"],
        max_keys=max(numbers["max_key_count"], numbers["stored_key_count"]),
        keys_per_request=numbers["max_key_per_request"],
        min_key_size_bit=numbers["min_key_size"],
        max_key_size_bit=numbers["max_key_size"],
    )


def fresh_keys(body: bytes | bytearray, *, number: int, size_bit: int) -> Keys | Failed:
    """Read an answer to enc_keys, which must hold that many keys of that size."""
    keys = _container("enc_keys", body, size_bit)
    if isinstance(keys, Failed):
        return keys
    if len(keys) != number:
        wipe(keys)
        return _unusable("enc_keys", f"{len(keys)} keys, where {number} were asked for")
    return Keys(keys=tuple(keys))


def named_keys(body: bytes | bytearray, *, key_ids: Sequence[str], size_bit: int) -> Keys | Failed:
    """Read an answer to dec_keys, which must hold exactly these keys; return them in the order that they were named."""
    keys = _container("dec_keys", body, size_bit)
    if isinstance(keys, Failed):
        return keys
    by_id = {key.key_id.lower(): key for key in keys}
    if len(keys) != len(key_ids) or by_id.keys() != {key_id.lower() for key_id in key_ids}:
        wipe(keys)
        return _unusable("dec_keys", "other keys than were asked for")
    return Keys(keys=tuple(by_id[key_id.lower()] for key_id in key_ids))


def _container(what: str, body: bytes | bytearray, size_bit: int) -> list[Key] | Failed:
    parsed = _json(body)
    # The table of the standard has a capital letter, its example and every implementation have none.
    listed = (parsed.get("keys") or parsed.get("Keys")) if isinstance(parsed, Mapping) else None
    if not isinstance(listed, list):
        return _unusable(what, "no JSON object with keys")
    keys: list[Key] = []
    problem = ""
    for item in listed:
        key_id, text = (item.get("key_ID"), item.get("key")) if isinstance(item, Mapping) else (None, None)
        if not isinstance(key_id, str) or not is_key_id(key_id):
            problem = "a key without a UUID"
            break
        try:
            data = bytearray(base64.b64decode(text, validate=True)) if isinstance(text, str) else None
        except (binascii.Error, ValueError):
            data = None
        if data is None:
            problem = "a key that is not Base64"
            break
        keys.append(Key(key_id=key_id, data=data))
        if 8 * len(data) != size_bit:
            problem = f"a key of {8 * len(data)} bit, where {size_bit} were asked for"
            break
    if problem:
        wipe(keys)
        return _unusable(what, problem)
    return keys


def _unusable(what: str, how: str) -> Failed:
    return Failed(trouble=Trouble.REFUSES, reason=f"the key source's answer cannot be used ({what}: {how})")


def _json(body: bytes | bytearray) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
