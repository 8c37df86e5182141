"""Events as lines: what alarms tell between two looks, and what each resource says of itself."""

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.cli.happenings import Happening, of_alarm, of_history, summary
from controller.cli.merging import differences
from qinet.northbound.v1.application_pb2 import Application, Sae
from qinet.northbound.v1.operations_service_pb2 import Alarm
from qinet.types.v1.types_pb2 import SEVERITY_MAJOR
from tests.golden import cli_resources as fixed

NOW = datetime(2026, 1, 1, tzinfo=UTC)
alarms = st.dictionaries(
    st.sampled_from("abcd"), st.integers(1, 3).map(lambda at: Alarm(kind="LINK_DOWN", raise_time=Timestamp(seconds=at)))
)


@settings(deadline=None)
@given(alarms, alarms)
def test_what_was_raised_and_cleared_leads_from_one_look_to_the_next(
    before: dict[str, Alarm], after: dict[str, Alarm]
) -> None:
    for known in (before, after):
        for name, alarm in known.items():
            alarm.name = f"alarms/{name}"
    active = {alarm.name for alarm in before.values()}
    for one in differences(
        {alarm.name: alarm for alarm in before.values()}, {alarm.name: alarm for alarm in after.values()}, NOW
    ):
        if one.text.startswith("CLEARED"):
            active.remove(one.name)
        else:
            assert one.name not in active
            active.add(one.name)
    assert active == {alarm.name for alarm in after.values()}
    assert list(differences(after, after, NOW)) == []


def test_an_alarm_tells_how_bad_it_is_about_what_and_since_when() -> None:
    alarm = Alarm(
        name="alarms/1", node="nodes/a", object="links/a-b", kind="LINK_DOWN", severity=SEVERITY_MAJOR, message="dark",
        raise_time=Timestamp(seconds=1_700_000_000),
    )  # fmt: skip
    raised = of_alarm(alarm)
    assert raised.text == "RAISED  MAJOR  LINK_DOWN  links/a-b  at a  dark"
    assert (raised.at.year, raised.kind, raised.revision) == (2023, "alarms", 0)
    cleared = of_alarm(alarm, cleared_at=NOW)
    assert (cleared.at, cleared.text) == (NOW, "CLEARED  MAJOR  LINK_DOWN  links/a-b  at a")


def test_a_line_of_history_tells_state_route_reason_and_who() -> None:
    told = of_history("keyRelays/first", fixed.HISTORY[0])
    assert told.text == "ACTIVE installing  alice -[spare]- bob  drain of nodes/middle"
    assert (told.kind, told.revision, told.by) == ("relays", 15, "user/alice")


def test_the_shares_of_a_relay_are_kept_apart_by_a_bar() -> None:
    shared = fixed.HISTORY[0].__class__()
    shared.CopyFrom(fixed.HISTORY[0])
    shared.routes.append(shared.routes[0])
    told = of_history("keyRelays/first", shared)
    assert told.text == "ACTIVE installing  alice -[spare]- bob | alice -[spare]- bob  drain of nodes/middle"


def test_applications_and_saes_tell_whom_they_join() -> None:
    joined = Application(server_sae="saes/a", client_saes=["saes/b", "saes/c"], key_relays=["keyRelays/r"])
    assert summary(joined) == "a with b, c  fed by r"
    assert summary(Application(server_sae="saes/a", client_saes=["saes/b"])) == "a with b  fed by no relay"
    assert summary(Sae(node="nodes/n", applications=["applications/mail"])) == "at n  in mail"
    assert Happening(at=NOW, revision=1, name="nodes/n", text="").kind == "nodes"
