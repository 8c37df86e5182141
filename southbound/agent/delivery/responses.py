"""What GS QKD 014 answers: Status, Key container and Error, as status, headers and JSON."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from southbound.agent.delivery.refused import Detail, RequestRefused
from southbound.agent.keyplane.events import DeliveredKey, KeyStatus

# Keys must not stay in any cache between us and the application.
_ALWAYS: Final = {"Cache-Control": "no-store", "Server": "qinet-agent"}
_JSON: Final = {**_ALWAYS, "Content-Type": "application/json; charset=utf-8"}


@dataclass(frozen=True, slots=True)
class Reply:
    """A response of HTTP. Its repr shows no key."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)


def status_reply(status: KeyStatus) -> Reply:
    """Return 200 with Status (clause 6.1)."""
    return _json(
        200,
        {
            "source_KME_ID": status.source_kme,
            "target_KME_ID": status.target_kme,
            "master_SAE_ID": status.master,
            "slave_SAE_ID": status.slave,
            "key_size": status.key_size_bit,
            "stored_key_count": status.stored_key_count,
            "max_key_count": status.max_key_count,
            "max_key_per_request": status.max_key_per_request,
            "max_key_size": status.max_key_size_bit,
            "min_key_size": status.min_key_size_bit,
            "max_SAE_ID_count": status.max_sae_id_count,
        },
    )


def keys_reply(keys: Sequence[DeliveredKey]) -> Reply:
    """Return 200 with a Key container (clause 6.3)."""
    return _json(
        200, {"keys": [{"key_ID": each.key_id, "key": base64.b64encode(each.key).decode("ascii")} for each in keys]}
    )


def unauthorised() -> Reply:
    """Return 401: its body is empty."""
    return Reply(401, _ALWAYS)


def error_reply(
    status: int, message: str, details: Sequence[Detail] = (), headers: Mapping[str, str] | None = None
) -> Reply:
    """Return an Error (clause 6.5)."""
    error: dict[str, object] = {"message": message}
    if details:
        error["details"] = [dict(detail) for detail in details]
    return _json(status, error, headers)


def refusal_reply(refusal: RequestRefused) -> Reply:
    """Return the Error that a refused request gets."""
    return error_reply(refusal.status, refusal.message, refusal.details, refusal.headers)


def _json(status: int, value: object, headers: Mapping[str, str] | None = None) -> Reply:
    # Escaped to ASCII, so that half a surrogate pair that a caller sent can be named to it.
    return Reply(status, {**_JSON, **(headers or {})}, json.dumps(value, separators=(",", ":")).encode("ascii"))
