"""Names of resources, and the rules they keep.

Node, controller and user names are DNS labels, because a daemon's certificate carries its name in a
DNS SAN. Everything else that an operator names follows the same rule, so that one pattern serves.
"""

import re
import uuid
from typing import Final

from controller.domain.refusals import InvalidValue

_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_SAE: Final = re.compile(r"[A-Za-z0-9._~-]{1,64}")
LABEL_RULE: Final = "a DNS label: 1-63 of a-z, 0-9 and '-', not at either end"
SAE_RULE: Final = "1-64 of A-Z, a-z, 0-9, '.', '_', '~' and '-'"


def is_label(text: str) -> bool:
    """Tell whether the text is a DNS label in lower case.

    >>> is_label("koganei-2"), is_label("Koganei"), is_label("-a"), is_label("")
    (True, False, False, False)
    """
    return _LABEL.fullmatch(text) is not None


def is_sae_id(text: str) -> bool:
    """Tell whether the text may be an SAE id (GS QKD 014 leaves its form open; ours is URL-safe).

    >>> is_sae_id("alice.app_1~x"), is_sae_id("a/b"), is_sae_id("")
    (True, False, False)
    """
    return _SAE.fullmatch(text) is not None


def label(resource: str, field: str, text: str) -> str:
    """Return the text if it is a DNS label.

    Raises:
        InvalidValue: It is not.
    """
    if not is_label(text):
        raise InvalidValue(resource, (field, f"{text!r} is not {LABEL_RULE}"))
    return text


def sae_id(resource: str, field: str, text: str) -> str:
    """Return the text if it may be an SAE id.

    Raises:
        InvalidValue: It may not.
    """
    if not is_sae_id(text):
        raise InvalidValue(resource, (field, f"{text!r} is not {SAE_RULE}"))
    return text


def resource_id(collection: str, name: str, *, field: str = "name") -> str:
    """Return the id inside a resource name.

    >>> resource_id("keyRelays", "keyRelays/r1")
    'r1'

    Raises:
        InvalidValue: The name is not of the form `collection/{id}`.
    """
    head, _, tail = name.partition("/")
    if head != collection or not tail or "/" in tail:
        raise InvalidValue("", (field, f"{name!r} is not of the form {collection}/{{id}}"))
    return tail


def resource_uuid(network: uuid.UUID, resource: str) -> uuid.UUID:
    """Return the stable UUID by which GS QKD 015 knows a resource: UUIDv5 of the network and the name.

    >>> str(resource_uuid(uuid.UUID(int=0), "nodes/a"))
    'fa89b2c9-f5fa-58f8-bcf9-714168d2c121'
    """
    return uuid.uuid5(network, resource)
