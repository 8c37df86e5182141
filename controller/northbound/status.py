"""Turns a refusal of the domain into a status that a program can act on."""

from typing import Final

import grpc
import grpc.aio
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import status_pb2
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, PreconditionFailure, ResourceInfo, RetryInfo
from grpc_status import rpc_status

from controller.domain.refusals import (
    AlreadyExists,
    InvalidValue,
    NotFound,
    NotServed,
    Overloaded,
    Precondition,
    Refusal,
    TooHard,
)
from controller.service.desk import Stopping, TooOld, TooSlow

DOMAIN: Final = "qinet.northbound"
"""Domain of every ErrorInfo of this API."""

CODES: Final[dict[type[Refusal], grpc.StatusCode]] = {
    InvalidValue: grpc.StatusCode.INVALID_ARGUMENT,
    NotFound: grpc.StatusCode.NOT_FOUND,
    AlreadyExists: grpc.StatusCode.ALREADY_EXISTS,
    Precondition: grpc.StatusCode.FAILED_PRECONDITION,
    Overloaded: grpc.StatusCode.RESOURCE_EXHAUSTED,
    TooHard: grpc.StatusCode.RESOURCE_EXHAUSTED,
    NotServed: grpc.StatusCode.UNIMPLEMENTED,
    TooOld: grpc.StatusCode.OUT_OF_RANGE,
    TooSlow: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Stopping: grpc.StatusCode.UNAVAILABLE,
}
"""By kind of refusal; a subclass has its base's code."""

# A status travels in the trailing metadata, base64, its message twice; clients drop calls whose metadata exceed 8 KiB.
_MESSAGE_BYTES: Final = 900
_FACT_BYTES: Final = 400
_FACTS_BYTES: Final = 1600
_FIELDS: Final = 10
_FIELD_BYTES: Final = 120
_RETRY_S: Final = 1


class TooManyCalls(Overloaded):
    """The server is busy with as many calls as it takes at once."""


class NoAnswerInTime(Refusal):
    """A call was not answered within its time; what it asked for may still be done."""


class Broken(Refusal):
    """A fault of ours; the log has it under the id."""

    def __init__(self, error_id: str) -> None:
        super().__init__(
            "INTERNAL", f"internal error {error_id}: the controller's log says more", {"error_id": error_id}
        )


CODES[NoAnswerInTime] = grpc.StatusCode.DEADLINE_EXCEEDED
CODES[Broken] = grpc.StatusCode.INTERNAL


def code_of(refusal: Refusal) -> grpc.StatusCode:
    """Return the code of a refusal: that of its nearest known kind, else INTERNAL."""
    return next((CODES[kind] for kind in type(refusal).__mro__ if kind in CODES), grpc.StatusCode.INTERNAL)


def to_status(refusal: Refusal) -> grpc.Status:
    """Return the status of a refusal: message, ErrorInfo with every fact, and what its kind adds.

    Long texts are cut: a status that does not fit into metadata would never arrive.
    """
    code = code_of(refusal)
    status = status_pb2.Status(code=code.value[0], message=cut(refusal.message, _MESSAGE_BYTES))
    details: list[Message] = [
        ErrorInfo(reason=refusal.reason, domain=DOMAIN, metadata=_facts(refusal)),
        *_of_kind(refusal, code),
    ]
    for detail in details:
        status.details.add().Pack(detail)
    return rpc_status.to_status(status)


def _of_kind(refusal: Refusal, code: grpc.StatusCode) -> list[Message]:
    facts = refusal.facts()
    match refusal:
        case InvalidValue(fields=fields):
            violations = [
                BadRequest.FieldViolation(
                    field=cut(field, _FIELD_BYTES), description=cut(problem, _FIELD_BYTES), reason=refusal.reason
                )
                for field, problem in fields[:_FIELDS]
            ]
            return [BadRequest(field_violations=violations)]
        case NotFound() | AlreadyExists():
            kind, _, _ = facts.get("resource", "").partition("/")
            return [
                ResourceInfo(resource_type=cut(kind, 64), resource_name=cut(facts.get("resource", ""), _FIELD_BYTES))
            ]
    if code is grpc.StatusCode.FAILED_PRECONDITION:
        subject = next(
            (facts[name] for name in ("bottleneck_links", "limits", "nodes", "resource", "used_by") if facts.get(name)),
            "",
        )
        return [
            PreconditionFailure(
                violations=[
                    PreconditionFailure.Violation(
                        type=refusal.reason,
                        subject=cut(subject, _FIELD_BYTES),
                        description=cut(refusal.message, _FIELD_BYTES),
                    )
                ]
            )
        ]
    if isinstance(refusal, Overloaded):
        return [RetryInfo(retry_delay=Duration(seconds=_RETRY_S))]
    return []


def _facts(refusal: Refusal) -> dict[str, str]:
    if isinstance(refusal, InvalidValue):
        return {"resource": cut(refusal.resource, _FIELD_BYTES)}  # the rest is in BadRequest
    fitted: dict[str, str] = {}
    room = _FACTS_BYTES
    for name, value in refusal.facts().items():
        text = cut(value, min(_FACT_BYTES, max(room, 3)))
        fitted[name] = text
        room -= len(text.encode())
    return fitted


def cut(text: str, at_most: int) -> str:
    """Return the text, its end left out where it has more bytes of UTF-8 than that (>= 3).

    >>> cut("abcdef", 5), cut("abc", 5), cut("äöü", 5)
    ('ab…', 'abc', 'ä…')
    """
    encoded = text[: at_most + 1].encode()  # a character has at least a byte: what follows these does not fit anyway
    return text if len(encoded) <= at_most else encoded[: at_most - 3].decode(errors="ignore") + "…"
