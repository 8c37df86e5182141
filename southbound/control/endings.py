"""Why a session is refused or ends, as the agent is told."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType


class Code(StrEnum):
    """The gRPC status codes in use, by name."""

    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    ABORTED = "ABORTED"
    UNAVAILABLE = "UNAVAILABLE"
    CANCELLED = "CANCELLED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """The end of a session.

    Attributes:
        reason: UPPER_SNAKE_CASE, for programs: NODE_UNKNOWN, ELECTION_ID_AHEAD, DUPLICATE_AGENT, REPLACED, SILENT, ...
        message: For a person: what is wrong and what would help.
        facts: Every fact of the message.
    """

    code: Code
    reason: str
    message: str
    facts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


class SessionRefused(Exception):  # noqa: N818 (a refusal is an answer)
    """A stream gets no session."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.message)
        self.ending = ending


def protocol_error(node: str, what: str) -> Ending:
    """Return the ending of a session whose agent does not keep the protocol."""
    return Ending(
        code=Code.INVALID_ARGUMENT,
        reason="PROTOCOL",
        message=f"nodes/{node}: {what}: the agent does not keep to qinet.southbound.v1; it starts anew with Hello",
        facts={"node": node},
    )
