"""Statuses of refusals."""

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

import controller.service.desk
from controller.domain import refusals
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
from controller.northbound.status import CODES, code_of, to_status

REFUSALS = [
    (InvalidValue("keyRelays/r", ("key_relay.rate", "is 0")), grpc.StatusCode.INVALID_ARGUMENT),
    (NotFound("nodes/a"), grpc.StatusCode.NOT_FOUND),
    (AlreadyExists("ALREADY_EXISTS", "nodes/a exists", {"resource": "nodes/a"}), grpc.StatusCode.ALREADY_EXISTS),
    (Precondition("NO_ROUTE", "no way", {"bottleneck_links": "x"}), grpc.StatusCode.FAILED_PRECONDITION),
    (Overloaded("INBOX_FULL", "later"), grpc.StatusCode.RESOURCE_EXHAUSTED),
    (TooHard("TOO_HARD", "too hard"), grpc.StatusCode.RESOURCE_EXHAUSTED),
    (NotServed("Freeze"), grpc.StatusCode.UNIMPLEMENTED),
]


def details_of(status: grpc.Status) -> dict[str, object]:
    packed = status_pb2.Status.FromString(dict(status.trailing_metadata)["grpc-status-details-bin"])
    found: dict[str, object] = {}
    for detail in packed.details:
        kind = getattr(error_details_pb2, detail.TypeName().rpartition(".")[2])
        message = kind()
        detail.Unpack(message)
        found[kind.DESCRIPTOR.name] = message
    return found


def size_of(status: grpc.Status) -> int:
    packed = dict(status.trailing_metadata)["grpc-status-details-bin"]
    return len(packed) * 4 // 3 + 3 * len((status.details or "").encode())


def test_every_kind_of_refusal_has_a_code() -> None:
    for module in (refusals, controller.service.desk):
        for kind in vars(module).values():
            if isinstance(kind, type) and issubclass(kind, Refusal) and kind is not Refusal:
                assert kind in CODES, kind


@pytest.mark.parametrize(("refusal", "code"), REFUSALS)
def test_a_refusal_keeps_its_code_reason_and_message(refusal: Refusal, code: grpc.StatusCode) -> None:
    status = to_status(refusal)
    info = details_of(status)["ErrorInfo"]
    assert isinstance(info, error_details_pb2.ErrorInfo)
    assert (status.code, status.details) == (code, refusal.message)
    assert (info.reason, info.domain) == (refusal.reason, "qinet.northbound")
    if not isinstance(refusal, InvalidValue):
        assert dict(info.metadata) == refusal.facts()


def test_fields_travel_in_bad_request_and_the_bottleneck_in_precondition_failure() -> None:
    bad = details_of(to_status(REFUSALS[0][0]))["BadRequest"]
    assert isinstance(bad, error_details_pb2.BadRequest)
    assert [(one.field, one.description) for one in bad.field_violations] == [("key_relay.rate", "is 0")]
    failure = details_of(to_status(REFUSALS[3][0]))["PreconditionFailure"]
    assert isinstance(failure, error_details_pb2.PreconditionFailure)
    assert [(one.type, one.subject) for one in failure.violations] == [("NO_ROUTE", "x")]


def test_an_unknown_kind_is_internal() -> None:
    assert code_of(Refusal("STRANGE", "?")) is grpc.StatusCode.INTERNAL


def test_a_huge_refusal_still_fits_into_the_metadata_that_clients_take() -> None:
    huge = "é" * 100_000
    for refusal in (
        InvalidValue(huge, *((f"field[{n}].{huge}", huge) for n in range(1000))),
        Precondition("NO_ROUTE", huge, {f"fact{n}": huge for n in range(20)}),
        NotFound(f"nodes/{huge}"),
    ):
        assert size_of(to_status(refusal)) < 8000
