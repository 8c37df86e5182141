"""What an SAE may ask of GS QKD 014: reads and checks it, so that only sound requests reach the key plane."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from controller.domain.names import SAE_RULE, is_sae_id
from southbound.agent.delivery.json_body import integer, objects, only_members, read_object
from southbound.agent.delivery.refused import RequestRefused
from southbound.agent.delivery.target import Method, Target
from southbound.agent.keyplane.delivery import NOT_A_MULTIPLE
from southbound.agent.keyplane.events import KeyStatus

EXTENSION_UNSUPPORTED: Final = "not all extension_mandatory parameters are supported"
_KEY_REQUEST: Final = ("number", "size", "additional_slave_SAE_IDs", "extension_mandatory", "extension_optional")
_KEY_IDS: Final = ("key_IDs", "key_IDs_extension")
_KEY_ID: Final = ("key_ID", "key_ID_extension")
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ADDITIONAL_SLAVES_MAX: Final = 63
_INTEGER: Final = re.compile(r"-?[0-9]{1,10}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusRequest:
    """Get status: the figures for the caller as master of `slave`."""

    slave: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRequest:
    """Get key.

    Attributes:
        slave: The SAE that shall be able to get the same keys.
        number: How many, at least 1.
        size_bit: Of each, a multiple of 8; the association's default if None.
        more_slaves: Further SAEs that shall, all different.
    """

    slave: str
    number: int = 1
    size_bit: int | None = None
    more_slaves: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyIdsRequest:
    """Get key with key IDs.

    Attributes:
        master: The SAE that got the keys first.
        key_ids: UUIDs in canonical lower-case text, at least one, all different.
    """

    master: str
    key_ids: tuple[str, ...] = field(repr=False)


Request = StatusRequest | KeyRequest | KeyIdsRequest


def read_request(target: Target, caller: str, content_type: str | None, body: bytes) -> Request:
    """Read the whole request.

    Args:
        target: What the request line asks for.
        caller: The SAE of the client's certificate.
        content_type: The header, None if there is none.
        body: Empty if there is none.

    Raises:
        RequestRefused: 400 or 415; the message says what is wrong, in the words of table A.8 where it has some.
    """
    if target.sae == caller:
        raise RequestRefused(400, "the SAE named in the path is the caller itself: name the one to share keys with")
    if target.verb == "GET" and body:
        raise RequestRefused(400, f"GET {target.method} has no body: use POST")
    if target.method is Method.STATUS:
        return StatusRequest(slave=target.sae)
    if target.method is Method.ENC_KEYS:
        if target.verb == "GET":
            asked = {name: _decimal(text, name) for name, text in target.parameters.items()}
            return _key_request(target.sae, caller, asked)
        return _key_request(target.sae, caller, read_object(content_type, body))
    if target.verb == "GET":
        if "key_ID" not in target.parameters:
            raise RequestRefused(400, "key_ID is missing: GET dec_keys?key_ID=UUID, or POST for several keys")
        return KeyIdsRequest(master=target.sae, key_ids=(_uuid(target.parameters["key_ID"], "key_ID"),))
    return _key_ids_request(target.sae, read_object(content_type, body))


def check_limits(request: KeyRequest, status: KeyStatus) -> None:
    """See that the request is within what Status says.

    Raises:
        RequestRefused: 400, naming the limit.
    """
    size_bit = status.key_size_bit if request.size_bit is None else request.size_bit
    if len(request.more_slaves) > status.max_sae_id_count:
        raise RequestRefused(
            400,
            f"additional_slave_SAE_IDs has {len(request.more_slaves)} entries, more than max_SAE_ID_count, "
            f"{status.max_sae_id_count}: the application has no more SAEs at other nodes",
            [{"max_SAE_ID_count": status.max_sae_id_count}],
        )
    if request.number > status.max_key_per_request:
        raise RequestRefused(
            400,
            f"number {request.number} is above max_key_per_request, {status.max_key_per_request}",
            [{"max_key_per_request": status.max_key_per_request}],
        )
    if size_bit > status.max_key_size_bit:
        raise RequestRefused(
            400,
            f"size {size_bit} is above max_key_size, {status.max_key_size_bit} bit",
            [{"max_key_size": status.max_key_size_bit}],
        )
    if size_bit < status.min_key_size_bit:
        raise RequestRefused(
            400,
            f"size {size_bit} is below min_key_size, {status.min_key_size_bit} bit",
            [{"min_key_size": status.min_key_size_bit}],
        )


def _decimal(text: str, name: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise RequestRefused(400, f"{name} is not an integer")
    return int(text)


def _key_request(slave: str, caller: str, asked: Mapping[str, object]) -> KeyRequest:
    only_members(asked, _KEY_REQUEST, "the key request")
    number = integer(asked["number"], "number") if "number" in asked else 1
    size_bit = integer(asked["size"], "size") if "size" in asked else None
    if size_bit is not None and size_bit % 8:
        raise RequestRefused(400, NOT_A_MULTIPLE)
    more_slaves = _additional_slaves(asked.get("additional_slave_SAE_IDs", []), slave, caller)
    _check_mandatory(objects(asked.get("extension_mandatory", []), "extension_mandatory"))
    objects(asked.get("extension_optional", []), "extension_optional")  # we know none, and may ignore all
    return KeyRequest(slave=slave, number=number, size_bit=size_bit, more_slaves=more_slaves)


def _additional_slaves(value: object, slave: str, caller: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise RequestRefused(400, "additional_slave_SAE_IDs is not an array of strings")
    if len(value) > _ADDITIONAL_SLAVES_MAX:
        raise RequestRefused(400, f"additional_slave_SAE_IDs has {len(value)} entries, more than any application has")
    for position, sae in enumerate(value):
        where = f"additional_slave_SAE_IDs[{position}]"
        if not is_sae_id(sae):
            raise RequestRefused(400, f"{where} is not {SAE_RULE}")
        if sae == caller:
            raise RequestRefused(400, f"{where} is the caller itself, which gets the keys as their master")
        if sae == slave or sae in value[:position]:
            raise RequestRefused(400, f"{where} is named before: name each slave once")
    return tuple(value)


def _check_mandatory(extensions: list[dict[str, object]]) -> None:
    names = list(dict.fromkeys(name for extension in extensions for name in extension))
    if extensions:
        raise RequestRefused(
            400, EXTENSION_UNSUPPORTED, [{"extension_mandatory_unsupported": name[:64]} for name in names[:16]]
        )


def _key_ids_request(master: str, asked: Mapping[str, object]) -> KeyIdsRequest:
    only_members(asked, _KEY_IDS, "the key ID request")
    _check_reserved(asked, "key_IDs_extension", "")
    entries = objects(asked.get("key_IDs", []), "key_IDs")
    if not entries:
        raise RequestRefused(400, "key_IDs is missing or empty: name at least one key")
    key_ids = []
    for position, entry in enumerate(entries):
        where = f"key_IDs[{position}]"
        only_members(entry, _KEY_ID, where)
        _check_reserved(entry, "key_ID_extension", f"{where}.")
        key_ids.append(_uuid(entry.get("key_ID"), f"{where}.key_ID"))
    if len(set(key_ids)) != len(key_ids):
        raise RequestRefused(400, "key_IDs names a key twice: it is given once")
    return KeyIdsRequest(master=master, key_ids=tuple(key_ids))


def _check_reserved(value: Mapping[str, object], name: str, where: str) -> None:
    if not isinstance(value.get(name, {}), dict):
        raise RequestRefused(400, f"{where}{name} is not an object")


def _uuid(value: object, name: str) -> str:
    if not isinstance(value, str) or not _UUID.fullmatch(value.lower()):
        raise RequestRefused(400, f"{name} is not a UUID")
    return value.lower()
