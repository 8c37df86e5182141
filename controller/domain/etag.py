"""Etags: they cover what clients set, and not state that we change."""

import hashlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, Final

from controller.domain.entanglement_path import EntanglementPath
from controller.domain.key_relay import KeyRelay
from controller.domain.snapshot import Document

_SET_BY_CLIENTS: Final[Mapping[type, tuple[str, ...]]] = {
    KeyRelay: ("name", "applications", "demand", "admin_enabled", "accept_blocked"),
    EntanglementPath: ("name", "demand", "admin_enabled", "accept_blocked"),
}


def _plain(value: Any) -> Any:
    """Return a value whose repr depends on nothing but its content."""
    if is_dataclass(value) and not isinstance(value, type):
        return [(spec.name, _plain(getattr(value, spec.name))) for spec in fields(value)]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (set, frozenset)):
        return sorted((_plain(item) for item in value), key=repr)
    if hasattr(value, "items"):
        return sorted((key, _plain(item)) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def etag(document: Document) -> str:
    """Return the etag of a document: 16 hex digits."""
    names = _SET_BY_CLIENTS.get(type(document)) or tuple(spec.name for spec in fields(document))
    content = repr([(name, _plain(getattr(document, name))) for name in names])
    return hashlib.sha256(content.encode()).hexdigest()[:16]
