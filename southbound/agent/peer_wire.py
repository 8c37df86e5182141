"""What agents say to each other <-> protobuf: messages of the key plane have the fields of peer.proto, by name."""

from dataclasses import fields, is_dataclass
from types import MappingProxyType
from typing import Any, Final, get_args, get_origin, get_type_hints

from google.protobuf.message import Message as Protobuf

from qinet.peer.v1 import peer_pb2 as pb
from southbound.agent.keyplane import messages

_CLASSES: Final[tuple[type, ...]] = get_args(messages.Message)


def _kind_of(cls: type) -> str:
    name = cls.__name__
    return name[0].lower() + "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name[1:])


_KINDS: Final = MappingProxyType({cls: _kind_of(cls) for cls in _CLASSES})
_BY_KIND: Final = MappingProxyType({kind: cls for cls, kind in _KINDS.items()})


def _parts(cls: Any) -> dict[Any, tuple[tuple[str, Any], ...]]:
    """Return (field, class of its items, None where it holds one value), for a message class and all in it."""
    hints = get_type_hints(cls)
    items = {
        field.name: get_args(hints[field.name])[0] if get_origin(hints[field.name]) is tuple else None
        for field in fields(cls)
    }
    found = {cls: tuple(items.items())}
    for item in items.values():
        if is_dataclass(item):
            found |= _parts(item)
    return found


_PARTS: Final = {cls: part for outer in _CLASSES for cls, part in _parts(outer).items()}


def message_to_pb(message: messages.Message) -> pb.PeerMessage:
    """Return the message as it travels.

    Raises:
        ValueError: A number does not fit its field.
    """
    travelling = pb.PeerMessage()
    part = getattr(travelling, _KINDS[type(message)])
    part.SetInParent()
    _fill(part, message)
    return travelling


def message_from_pb(travelling: pb.PeerMessage) -> messages.Message | None:
    """Return the message that travelled; None for a kind that the key plane does not know."""
    kind = travelling.WhichOneof("kind")
    cls = _BY_KIND.get(kind or "")
    if kind is None or cls is None:
        return None
    message: messages.Message = _read(cls, getattr(travelling, kind))
    return message


def _fill(part: Protobuf, value: Any) -> None:
    for name, _ in _PARTS[type(value)]:
        content = getattr(value, name)
        if isinstance(content, tuple):
            repeated = getattr(part, name)
            for item in content:
                if is_dataclass(item):
                    _fill(repeated.add(), item)
                else:
                    repeated.append(item)
        else:
            setattr(part, name, content)


def _read(cls: Any, part: Protobuf) -> Any:
    values: dict[str, Any] = {}
    for name, item in _PARTS[cls]:
        content = getattr(part, name)
        if item is None:
            values[name] = content
        elif is_dataclass(item):
            values[name] = tuple(_read(item, one) for one in content)
        else:
            values[name] = tuple(content)
    return cls(**values)
