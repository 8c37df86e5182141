"""What agents and controller tell each other comes back as it went, and nonsense is refused by name."""

import pytest

from controller.domain import events
from controller.domain.alarm import Alarm, Severity
from controller.domain.link import LinkStatus
from controller.domain.node import Capability, Interface, Role, Technology
from controller.domain.refusals import InvalidValue
from controller.domain.snapshot import AgentRecord, ElectionId
from controller.wire import southbound as wire
from qinet.southbound.v1 import agent_pb2 as pb
from qinet.types.v1 import types_pb2


def test_an_election_id_comes_back_and_an_absent_one_is_below_all() -> None:
    election = ElectionId(epoch=2**64 - 1, term=3)
    assert wire.election_from_pb(wire.election_to_pb(election)) == election
    assert wire.election_from_pb(pb.Hello().highest_election_id) < ElectionId(epoch=1, term=1)


@pytest.mark.parametrize("severity", Severity)
def test_an_alarm_comes_back(severity: Severity) -> None:
    alarm = Alarm(node="a", object="links/a-b", kind="QBER_HIGH", severity=severity, message="0.12", raised_ms=5)
    assert wire.alarm_from_pb("a", wire.alarm_to_pb(alarm)) == alarm


@pytest.mark.parametrize("kind", ["", "qber", "A" * 65, "A B"])
def test_an_alarm_of_no_kind_is_refused(kind: str) -> None:
    with pytest.raises(InvalidValue, match=r"nodes/a: alarm\.kind"):
        wire.alarm_from_pb("a", pb.Alarm(kind=kind))


def test_a_long_message_is_cut_and_a_missing_severity_is_the_graver() -> None:
    alarm = wire.alarm_from_pb("a", pb.Alarm(kind="FAN", message="x" * 5000))
    assert (len(alarm.message), alarm.severity) == (wire.MAX_TEXT, Severity.MAJOR)


def test_every_status_and_capability_comes_back_and_unknown_ones_are_none() -> None:
    assert [wire.link_status_from_pb(wire.link_status_to_pb(status)) for status in LinkStatus] == list(LinkStatus)
    assert [wire.capability_from_pb(wire.capability_to_pb(one)) for one in Capability] == list(Capability)
    assert wire.link_status_from_pb(types_pb2.LINK_STATUS_UNSPECIFIED) is None
    assert wire.capability_from_pb(types_pb2.CAPABILITY_UNSPECIFIED) is None


@pytest.mark.parametrize("technology", Technology)
@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("absorption_db", [None, 0.0, 21.5])
def test_an_interface_comes_back(technology: Technology, role: Role, absorption_db: float | None) -> None:
    interface = Interface(
        number=3, technology=technology, role=role, model="m", max_absorption_db=absorption_db, port=2
    )
    assert wire.interface_from_pb(wire.interface_to_pb(interface)) == interface


@pytest.mark.parametrize("field", ["technology", "role"])
def test_an_interface_without_what_it_must_say_is_refused_by_name(field: str) -> None:
    message = wire.interface_to_pb(Interface(number=3, technology=Technology.DV_QKD))
    message.ClearField(field)  # type: ignore[arg-type]
    with pytest.raises(InvalidValue, match=rf"interfaces\[3\].{field}"):
        wire.interface_from_pb(message)


def test_a_hello_gives_the_record_that_others_entries_rest_on() -> None:
    hello = pb.Hello(node="a", store_id="s", peer_address="[::1]:7001", delivery_address="h:443", agent_version="1")
    assert wire.agent_record_from_pb(hello) == AgentRecord(
        node="a", store_id="s", peer_address="[::1]:7001", delivery_address="h:443", version="1"
    )


@pytest.mark.parametrize("address", ["", "host", "host:", ":1", "host:0", "host:65536", "host:x", "host:١"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(InvalidValue, match=r"hello.peer_address"):
        wire.agent_record_from_pb(pb.Hello(node="a", store_id="s", peer_address=address))


def test_an_absent_promise_is_not_a_promise_of_nothing() -> None:
    assert wire.link_event_from_pb("a", pb.LinkReport(link="l")).promised_skr_millibit_per_s is None
    promised = wire.link_event_from_pb("a", pb.LinkReport(link="l", promised_skr_millibit_per_s=0))
    assert promised == events.LinkReport(node="a", link="l", promised_skr_millibit_per_s=0)


@pytest.mark.parametrize(("value", "clipped"), [(float("nan"), 0.0), (-1.0, 0.0), (7.0, 1.0), (0.25, 0.25)])
def test_a_ratio_is_in_its_range(value: float, clipped: float) -> None:
    assert wire.ratio(value) == clipped
