"""The rules of following a watch: what a message changes, where to resume, what a full state means."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, Protocol

if TYPE_CHECKING:
    from google.protobuf.message import Message

# All watches number their kinds alike.
_SYNC_BEGIN: Final = 1
_SYNC_END: Final = 2
_PUT: Final = 3
_DELETED: Final = 4
# Figures that are as of sending: they alone are no change.
_SAMPLED: Final = {
    "link": ("measurement",),
    "key_relay": ("ends", "revision"),
    "entanglement_path": ("ends", "revision"),
}


class WatchMessage(Protocol):
    """What the answers of all watches have in common."""

    @property
    def kind(self) -> int:
        """One of the five kinds."""

    @property
    def resume_revision(self) -> int:
        """Where to resume; 0 within a full state."""

    def WhichOneof(self, oneof_group: Literal["resource"]) -> str | None:
        """Return the field that holds the resource."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A resource as it is now, or gone.

    Attributes:
        name: Full name.
        resource: None if it is gone.
        field: Of the message, that held the resource; empty if it is gone.
        revision: Log revision up to which is told with this; 0 within a full state.
    """

    name: str
    resource: "Message | None"
    field: str
    revision: int


class Follower:
    """Turns the messages of a watch, over any number of connections, into changes without repeats.

    Attributes:
        resume_revision: To send with the next request.
    """

    def __init__(self, resume_revision: int = 0, known: Iterable[str] = ()) -> None:
        """Begin, after that revision; of `known` names a full state that leaves them out tells that they are gone."""
        self.resume_revision = resume_revision
        self._known: dict[str, bytes] = dict.fromkeys(known, b"")
        self._gone: set[str] = set()  # in the commit of which we may not have heard the end
        self._named: set[str] | None = None  # what the full state under way has named so far

    def connection_lost(self) -> None:
        """Forget a full state that was cut off; the next one begins anew."""
        self._named = None

    def take(self, message: WatchMessage) -> Iterator[Change]:
        """Yield what the message changes. Everything is yielded before the resume revision rises."""
        if message.kind == _SYNC_BEGIN:
            self._named = set()
        elif message.kind == _SYNC_END and self._named is not None:
            yield from self._missing(message.resume_revision)
        elif message.kind == _PUT and (field := message.WhichOneof("resource")):
            yield from self._put(message, field)
        elif message.kind == _DELETED:
            name = getattr(message, "deleted")  # noqa: B009 (not of every message that a watch sends)
            # A stream that was cut within a commit begins again before it.
            repeated = self._known.pop(name, None) is None and name in self._gone
            self._gone.add(name)
            if repeated:
                return
            yield Change(name=name, resource=None, field="", revision=message.resume_revision)
        if message.resume_revision and self._named is None:
            if message.resume_revision != self.resume_revision:
                self._gone.clear()
            self.resume_revision = message.resume_revision

    def _missing(self, revision: int) -> Iterator[Change]:
        named, self._named = self._named, None
        for name in sorted(self._known.keys() - (named or set())):
            del self._known[name]
            yield Change(name=name, resource=None, field="", revision=revision)

    def _put(self, message: WatchMessage, field: str) -> Iterator[Change]:
        resource: Message = getattr(message, field)
        name: str = getattr(resource, "name")  # noqa: B009 (every resource has one, messages in general do not)
        lasting = _lasting(resource, field)
        repeated = self._known.get(name) == lasting
        if self._named is not None:
            self._named.add(name)
        self._known[name] = lasting
        if not repeated:
            yield Change(name=name, resource=resource, field=field, revision=message.resume_revision)


def _lasting(resource: "Message", field: str) -> bytes:
    copy = type(resource)()
    copy.CopyFrom(resource)
    for sampled in _SAMPLED.get(field, ()):
        copy.ClearField(sampled)
    return copy.SerializeToString(deterministic=True)
