"""Agents, requests already answered and alarms, as the store keeps them."""

from controller.domain.alarm import Alarm
from controller.domain.snapshot import AgentRecord, Freeze, RequestRecord
from controller.wire.stored_enums import SEVERITY
from qinet.store.v1 import operation_pb2 as pb


def agent_to_pb(agent: AgentRecord) -> pb.AgentRecord:
    """Return the stored form of what is known of an agent."""
    return pb.AgentRecord(
        node=agent.node,
        store_id=agent.store_id,
        peer_address=agent.peer_address,
        delivery_address=agent.delivery_address,
        version=agent.version,
    )


def agent_from_pb(stored: pb.AgentRecord) -> AgentRecord:
    """Return what is known of an agent, of its stored form."""
    return AgentRecord(
        node=stored.node,
        store_id=stored.store_id,
        peer_address=stored.peer_address,
        delivery_address=stored.delivery_address,
        version=stored.version,
    )


def request_to_pb(request: RequestRecord) -> pb.RequestRecord:
    """Return the stored form of a request already answered."""
    return pb.RequestRecord(
        caller=request.caller,
        request_id=request.request_id,
        body_sha256=request.body_sha256,
        resource=request.resource,
        used_ms=request.used_ms,
        deleted=request.deleted,
    )


def request_from_pb(stored: pb.RequestRecord) -> RequestRecord:
    """Return the request already answered, of its stored form."""
    return RequestRecord(
        caller=stored.caller,
        request_id=stored.request_id,
        body_sha256=stored.body_sha256,
        resource=stored.resource,
        used_ms=stored.used_ms,
        deleted=stored.deleted,
    )


def freeze_to_pb(freeze: Freeze) -> pb.Freeze:
    """Return the stored form of that automatic moves are stopped."""
    return pb.Freeze(reason=freeze.reason, by=freeze.by, since_ms=freeze.since_ms)


def freeze_from_pb(stored: pb.Freeze) -> Freeze:
    """Return that automatic moves are stopped, of its stored form."""
    return Freeze(reason=stored.reason, by=stored.by, since_ms=stored.since_ms)


def alarm_to_pb(alarm: Alarm) -> pb.Alarm:
    """Return the stored form of an alarm."""
    return pb.Alarm(
        node=alarm.node,
        object=alarm.object,
        kind=alarm.kind,
        severity=SEVERITY.number(alarm.severity),
        message=alarm.message,
        raised_ms=alarm.raised_ms,
    )


def alarm_from_pb(stored: pb.Alarm) -> Alarm:
    """Return the alarm of a stored form."""
    return Alarm(
        node=stored.node,
        object=stored.object,
        kind=stored.kind,
        severity=SEVERITY.member(stored.severity),
        message=stored.message,
        raised_ms=stored.raised_ms,
    )
