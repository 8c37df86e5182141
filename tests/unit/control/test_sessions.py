"""Who is let in, how long a session lives, and what of an agent's words is news."""

import pytest

from controller.domain import events
from controller.domain.alarm import Alarm, Severity
from controller.domain.link import LinkStatus
from controller.domain.snapshot import ElectionId
from controller.wire.southbound import election_to_pb
from qinet.southbound.v1 import agent_pb2 as pb
from qinet.types.v1 import pairs_pb2, types_pb2
from southbound.control.endings import Code, Ending, SessionRefused
from southbound.control.session import AgentSession
from southbound.control.settings import ControlSettings
from tests.unit.control.model_agent import ELECTION, ModelAgent, hello, said
from tests.unit.control.stage import Stage

BEAT = 2000


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    stage.push({})
    return stage


def refused(stage: Stage, request: pb.SessionRequest, node: str = "a") -> Ending:
    with pytest.raises(SessionRefused) as refusal:
        stage.open(request, node)
    return refusal.value.ending


def quiet(stage: Stage, request: pb.SessionRequest | None = None) -> AgentSession:
    session = stage.open(request or hello())
    stage.tell(session, ModelAgent())
    stage.commit()
    stage.take()
    return session


def test_an_agent_with_the_certificate_of_another_node_is_refused(stage: Stage) -> None:
    ending = refused(stage, hello("b"))
    assert (ending.code, ending.reason) == (Code.PERMISSION_DENIED, "OTHER_NODE")
    assert "nodes/b" in ending.message
    assert "nodes/a" in ending.message


def test_the_agent_of_an_unknown_node_is_refused_with_the_remedy(stage: Stage) -> None:
    ending = refused(stage, hello("b"), node="b")
    assert (ending.code, ending.reason) == (Code.FAILED_PRECONDITION, "NODE_UNKNOWN")
    assert "qinetctl topology apply" in ending.message


def test_a_first_message_that_is_not_hello_is_refused(stage: Stage) -> None:
    assert refused(stage, said(heartbeat=pb.Heartbeat())).code is Code.INVALID_ARGUMENT


@pytest.mark.parametrize("field", [{"store_id": ""}, {"peer_address": "nowhere"}, {"delivery_address": "x:99999"}])
def test_a_hello_with_a_field_out_of_form_is_refused_by_name(stage: Stage, field: dict[str, str]) -> None:
    request = hello()
    for name, value in field.items():
        setattr(request.hello, name, value)
    ending = refused(stage, request)
    assert ending.code is Code.INVALID_ARGUMENT
    assert f"hello.{next(iter(field))}" in ending.message


def test_before_the_first_push_nobody_is_let_in() -> None:
    assert refused(Stage(), hello()).code is Code.UNAVAILABLE


def test_an_agent_that_has_seen_a_higher_election_id_is_refused_and_is_an_alarm_until_it_has_not(stage: Stage) -> None:
    ahead = hello(highest_election_id=election_to_pb(ElectionId(epoch=2, term=1)))
    ending = refused(stage, ahead)
    assert (ending.code, ending.reason) == (Code.FAILED_PRECONDITION, "ELECTION_ID_AHEAD")
    assert dict(ending.facts) == {"node": "a", "highest": "2/1", "ours": "1/1"}
    refused(stage, ahead)
    ahead_event, raised = stage.take()
    assert ahead_event == events.ElectionAhead(node="a", highest_epoch=2, highest_term=1)
    assert isinstance(raised, events.AlarmRaised)
    assert raised.alarm.key == ("", "nodes/a", "ELECTION_ID_AHEAD")
    # another one is news, that it knocks again is none
    refused(stage, hello(highest_election_id=election_to_pb(ElectionId(epoch=3, term=1))))
    assert events.ElectionAhead(node="a", highest_epoch=3, highest_term=1) in stage.take()

    stage.open(hello(highest_election_id=election_to_pb(ELECTION)))
    assert events.AlarmCleared(key=raised.alarm.key) in stage.events


def test_welcome_answers_hello_before_anything_else(stage: Stage) -> None:
    stage.push({"links/l": b"1"})
    session = stage.open(hello())
    message = session.next_message(stage.now_ms)
    assert message is not None
    assert message.welcome == pb.Welcome(heartbeat_interval_ms=2000, report_interval_ms=5000, max_message_bytes=4 << 20)
    assert message.election_id == election_to_pb(ELECTION)


def test_a_newer_stream_of_the_same_agent_replaces_the_older(stage: Stage) -> None:
    older = quiet(stage)
    newer = stage.open(hello())
    assert older.ending is not None
    assert older.ending.reason == "REPLACED"
    assert stage.registry.sessions() == {"a": newer}
    told = [type(event) for event in stage.take(events.AgentLost, events.AgentConnected)]
    assert told == [events.AgentLost, events.AgentConnected]


def test_a_second_agent_with_another_store_is_refused_and_is_an_alarm_until_it_is_gone(stage: Stage) -> None:
    session = quiet(stage)
    for _ in range(2):
        ending = refused(stage, hello(store_id="store-2"))
        assert (ending.code, ending.reason) == (Code.ALREADY_EXISTS, "DUPLICATE_AGENT")
    assert session.ending is None
    (raised,) = stage.take()
    assert isinstance(raised, events.AlarmRaised)
    assert raised.alarm.key == ("", "nodes/a", "DUPLICATE_AGENT")

    stage.now_ms += stage.settings.duplicate_quiet_ms
    stage.registry.tick(stage.now_ms)
    assert stage.take() == [events.AlarmCleared(key=raised.alarm.key)]


def test_a_duplicate_that_knocks_more_rarely_than_it_backs_off_is_gone_after_half_a_minute(stage: Stage) -> None:
    session = quiet(stage)
    refused(stage, hello(store_id="store-2"))
    stage.take()
    for _ in range(14):
        stage.hear(session, said(heartbeat=pb.Heartbeat()))
        stage.pass_time(session, 2_000)
    assert stage.take() == []
    stage.pass_time(session, 2_000)
    assert [type(event) for event in stage.take()] == [events.AlarmCleared]


def test_when_the_agent_connects_again_its_duplicate_must_knock_again_to_be_an_alarm(stage: Stage) -> None:
    quiet(stage)
    refused(stage, hello(store_id="store-2"))
    (raised,) = stage.take()
    assert isinstance(raised, events.AlarmRaised)

    stage.open(hello())
    assert events.AlarmCleared(key=raised.alarm.key) in stage.take()
    refused(stage, hello(store_id="store-2"))
    assert stage.take() == [raised]


def test_once_the_older_is_silent_another_store_may_take_the_node(stage: Stage) -> None:
    session = quiet(stage)
    for _ in range(3):
        stage.pass_time(session, BEAT)
    assert stage.open(hello(store_id="store-2")).connected


def test_three_missed_heartbeats_end_a_session(stage: Stage) -> None:
    session = quiet(stage)
    stage.pass_time(session, BEAT)
    stage.hear(session, said(heartbeat=pb.Heartbeat()))
    for ms in (BEAT, BEAT, BEAT - 1):
        stage.pass_time(session, ms)
    assert stage.registry.sessions() == {"a": session}
    stage.pass_time(session, 1)
    assert session.ending is not None
    assert session.ending.code is Code.DEADLINE_EXCEEDED
    (lost,) = stage.take()
    assert lost == events.AgentLost(node="a", reason=session.ending.message)
    seen = stage.observations.agent("a")
    assert seen is not None
    assert not seen.connected


def test_our_own_sleep_is_not_the_agents_silence(stage: Stage) -> None:
    session = quiet(stage)
    stage.pass_time(session, 60_000)
    assert session.ending is None
    stage.pass_time(session, BEAT)
    assert session.ending is not None


def test_silence_does_not_count_while_the_inbox_keeps_us_from_reading(stage: Stage) -> None:
    session = quiet(stage)
    session.pause()
    for _ in range(10):
        stage.pass_time(session, BEAT)
    session.resume(stage.now_ms)
    stage.pass_time(session, BEAT)
    assert session.ending is None


def test_an_update_that_is_never_answered_ends_the_session(stage: Stage) -> None:
    stage.push({"links/l": b"1"})
    session, agent = stage.open(hello()), ModelAgent()
    stage.tell(session, agent)
    for _ in range(15):
        assert session.ending is None
        stage.hear(session, said(heartbeat=pb.Heartbeat()))
        stage.pass_time(session, BEAT)
    assert session.ending is not None
    assert session.ending.reason == "NO_ANSWER"


def test_a_heartbeat_goes_out_every_interval_and_never_piles_up(stage: Stage) -> None:
    session, agent = quiet(stage), ModelAgent()
    for _ in range(2):
        stage.pass_time(session, BEAT)
    assert session.waiting == 1
    stage.tell(session, agent)
    assert agent.heartbeats == 1


def test_a_message_under_another_election_id_ends_the_session(stage: Stage) -> None:
    session = quiet(stage)
    stage.hear(session, said(ElectionId(epoch=1, term=9), heartbeat=pb.Heartbeat()))
    assert session.ending is not None
    assert session.ending.code is Code.INVALID_ARGUMENT


def test_a_new_term_ends_every_session(stage: Stage) -> None:
    session = quiet(stage)
    stage.registry.push({}, 5, ElectionId(epoch=1, term=2), now_ms=stage.now_ms)
    assert session.ending is not None
    assert session.ending.code is Code.UNAVAILABLE
    assert stage.registry.sessions() == {}


def test_a_node_taken_out_of_the_topology_loses_its_session_and_its_place(stage: Stage) -> None:
    session = quiet(stage)
    stage.registry.push({"a": None}, 5, ELECTION, now_ms=stage.now_ms)
    stage.registry.tick(stage.now_ms)
    assert session.ending is not None
    assert refused(stage, hello()).reason == "NODE_UNKNOWN"
    assert stage.observations.agents() == {}


def down(link: str = "l", reason: str = "cut", **more: object) -> pb.LinkReport:
    return pb.LinkReport(link=link, down_reason=reason, status=types_pb2.LINK_STATUS_PASSIVE, **more)  # type: ignore[arg-type]


def test_hello_tells_alarms_and_links_and_then_each_links_state(stage: Stage) -> None:
    alarm = pb.Alarm(object="links/l", kind="LINK_DOWN", severity=types_pb2.SEVERITY_MINOR, message="cut", raised_ms=9)
    stage.open(hello(alarms=[alarm], links=[down(exhausted=True), pb.LinkReport(link="m")]))
    connected, *links = stage.take(events.AgentConnected, events.LinkReport)
    assert isinstance(connected, events.AgentConnected)
    assert connected.links_down == {"l": "cut"}
    assert connected.alarms == (
        Alarm(node="a", object="links/l", kind="LINK_DOWN", severity=Severity.MINOR, message="cut", raised_ms=9),
    )
    assert links == [
        events.LinkReport(node="a", link="l", down_reason="cut", exhausted=True),
        events.LinkReport(node="a", link="m"),
    ]


def test_reports_that_repeat_themselves_are_no_news(stage: Stage) -> None:
    session = quiet(stage)
    report = said(
        report=pb.Report(
            complete=True,
            links=[down(stored_outbound_bit=5)],
            relays=[pb.RelayReport(relay="r", route_version=1, confirmed=True)],
            alarms=[pb.Alarm(object="links/l", kind="LINK_DOWN")],
        )
    )
    stage.hear(session, report)
    assert len(stage.take()) == 3
    report.report.links[0].stored_outbound_bit = 7
    report.report.alarms[0].message = "still"
    stage.hear(session, report)
    assert stage.take() == []
    seen = stage.observations.link("l", "a")
    assert seen is not None
    assert (seen.stored_bit, seen.status) == (7, LinkStatus.PASSIVE)


@pytest.mark.parametrize(
    ("change", "event"),
    [
        (pb.LinkReport(link="l"), events.LinkReport(node="a", link="l")),
        (down(exhausted=True), events.LinkReport(node="a", link="l", down_reason="cut", exhausted=True)),
        (
            down(promised_skr_millibit_per_s=0),
            events.LinkReport(node="a", link="l", down_reason="cut", promised_skr_millibit_per_s=0),
        ),
    ],
)
def test_what_decisions_rest_on_is_news_when_it_changes(
    stage: Stage, change: pb.LinkReport, event: events.LinkReport
) -> None:
    session = quiet(stage, hello(links=[down()]))
    stage.hear(session, said(report=pb.Report(links=[change])))
    assert stage.take() == [event]


@pytest.mark.parametrize(
    "change", [{"route_version": 2}, {"confirmed": True}, {"starved": True}], ids=lambda change: next(iter(change))
)
def test_a_relays_state_is_news_when_it_changes(stage: Stage, change: dict[str, int]) -> None:
    session = quiet(stage)
    before = {"relay": "r", "route_version": 1}
    stage.hear(session, said(report=pb.Report(relays=[pb.RelayReport(**before)])))  # type: ignore[arg-type]
    stage.take()
    stage.hear(session, said(notification=pb.Notification(sequence=1, relay_update=pb.RelayReport(**before | change))))  # type: ignore[arg-type]
    (event,) = stage.take()
    assert isinstance(event, events.ServiceReport)


def test_the_word_on_a_link_that_was_made_anew_is_news_again(stage: Stage) -> None:
    stage.push({"links/l": b"1"})
    agent = ModelAgent()
    session = stage.open(hello(links=[down()]))
    stage.settle(session, agent)
    stage.take()
    for wanted in ({}, {"links/l": b"1"}):
        stage.push(wanted)
        stage.settle(session, agent)
    stage.take()
    stage.hear(session, said(report=pb.Report(complete=True, links=[down()])))
    assert stage.take() == [events.LinkReport(node="a", link="l", down_reason="cut")]


def test_a_complete_report_ends_the_alarms_and_drops_the_links_that_it_does_not_name(stage: Stage) -> None:
    alarms = [pb.Alarm(object=f"links/{name}", kind="QBER_HIGH") for name in "lm"]
    session = quiet(stage, hello(alarms=alarms, links=[pb.LinkReport(link="l"), pb.LinkReport(link="m")]))
    stage.hear(session, said(report=pb.Report(complete=False)))
    assert stage.take() == []
    stage.hear(session, said(report=pb.Report(complete=True, links=[pb.LinkReport(link="m")], alarms=alarms[1:])))
    assert stage.take() == [events.AlarmCleared(key=("a", "links/l", "QBER_HIGH"))]
    assert set(stage.observations.links()) == {("m", "a")}


def test_an_alarm_by_notification_is_raised_and_cleared_once(stage: Stage) -> None:
    session = quiet(stage)
    alarm = pb.Alarm(object="links/l", kind="QBER_HIGH")
    for sequence, cleared in enumerate([False, False, True, True], start=1):
        change = pb.AlarmChange(alarm=alarm, cleared=cleared)
        stage.hear(session, said(notification=pb.Notification(sequence=sequence, alarm=change)))
    assert [type(event) for event in stage.take()] == [events.AlarmRaised, events.AlarmCleared]


def test_a_notification_is_acknowledged_only_after_the_commit_of_its_effect(stage: Stage) -> None:
    session, agent = quiet(stage), ModelAgent()
    stage.hear(session, said(notification=pb.Notification(sequence=1, link_down=down())))
    stage.tell(session, agent)
    assert agent.acknowledged == 0
    stage.commit()
    stage.tell(session, agent)
    assert agent.acknowledged == 1


def test_a_notification_of_what_a_report_has_said_waits_for_the_commit_of_the_report(stage: Stage) -> None:
    session, agent = quiet(stage), ModelAgent()
    stage.hear(session, said(report=pb.Report(links=[down()])))
    stage.hear(session, said(notification=pb.Notification(sequence=1, link_down=down())))
    stage.tell(session, agent)
    assert agent.acknowledged == 0
    stage.commit()
    stage.tell(session, agent)
    assert agent.acknowledged == 1


def test_commits_out_of_order_acknowledge_only_what_is_complete(stage: Stage) -> None:
    session, agent = quiet(stage), ModelAgent()
    for sequence in (1, 2, 3):
        stage.hear(session, said(notification=pb.Notification(sequence=sequence, link_down=down(f"l{sequence}"))))
    first, second, third = stage.dones
    assert first is not None
    assert second is not None
    assert third is not None
    second()
    stage.tell(session, agent)
    assert agent.acknowledged == 0
    first()
    stage.tell(session, agent)
    assert agent.acknowledged == 2
    third()
    stage.tell(session, agent)
    assert agent.acknowledged == 3


def test_a_notification_that_decides_nothing_here_is_acknowledged_at_once(stage: Stage) -> None:
    session, agent = quiet(stage), ModelAgent()
    stage.hear(session, said(notification=pb.Notification(sequence=4, clock_lost=pb.ClockLost())))
    stage.tell(session, agent)
    assert agent.acknowledged == 4


def test_an_application_that_asks_is_told_and_acknowledged_after_the_commit(stage: Stage) -> None:
    session, agent = quiet(stage), ModelAgent()
    new = pb.ApplicationNew(server_sae="alice", client_saes=["bob", "carol"])
    stage.hear(session, said(notification=pb.Notification(sequence=4, application_new=new)))
    stage.tell(session, agent)
    assert stage.take() == [events.ApplicationAsked(node="a", server_sae="alice", client_saes=("bob", "carol"))]
    assert agent.acknowledged == 0
    stage.commit()
    stage.tell(session, agent)
    assert agent.acknowledged == 4


@pytest.mark.parametrize(
    "new", [pb.ApplicationNew(server_sae="a/b", client_saes=["c"]), pb.ApplicationNew(server_sae="a")]
)
def test_an_application_that_cannot_be_is_the_agents_fault(stage: Stage, new: pb.ApplicationNew) -> None:
    session = quiet(stage)
    stage.hear(session, said(notification=pb.Notification(sequence=1, application_new=new)))
    (raised,) = stage.take()
    assert isinstance(raised, events.AlarmRaised)
    assert raised.alarm.kind == "AGENT_FAULTY"
    assert "application_new" in raised.alarm.message


def test_that_a_neighbour_is_unheard_and_what_is_drained_is_news_when_it_changes_and_only_then(stage: Stage) -> None:
    session = quiet(stage)
    for unreachable in (False, True, True, False):
        link = pb.LinkReport(link="a-b", neighbour_unreachable=unreachable)
        stage.hear(session, said(report=pb.Report(links=[link])))
    assert [event.neighbour_unreachable for event in stage.take() if isinstance(event, events.LinkReport)] == [
        False,
        True,
        False,
    ]
    for confirmed, undrained in (([1], []), ([1, 2], [1]), ([2, 1], [1]), ([1, 2], [])):
        relay = pb.RelayReport(relay="r", route_version=2, confirmed_versions=confirmed, undrained_versions=undrained)
        stage.hear(session, said(report=pb.Report(relays=[relay])))
    told = [event for event in stage.take() if isinstance(event, events.ServiceReport)]
    assert [(set(event.confirmed_versions), set(event.undrained_versions)) for event in told] == [
        ({1}, set()),
        ({1, 2}, {1}),
        ({1, 2}, set()),
    ]


def test_what_ends_measure_of_pairs_is_news_where_decisions_rest_on_it(stage: Stage) -> None:
    session = quiet(stage)
    for high, tracked in ((0.912, 0.9), (0.9101, 0.8), (0.9499, 0.8), (float("nan"), 0.8)):
        estimate = pairs_pb2.FidelityEstimate(fidelity=0.9, low=0.8, high=high, samples=100)
        path = pb.PathReport(path="p", route_version=2, confirmed=True, fidelity=estimate, tracked_fidelity=tracked)
        stage.hear(session, said(report=pb.Report(paths=[path])))
    told = [event for event in stage.take() if isinstance(event, events.ServiceReport)]
    assert [(event.service, event.fidelity_at_most) for event in told] == [
        ("entanglementPaths/p", 0.92),
        ("entanglementPaths/p", 0.95),
        ("entanglementPaths/p", None),
    ]  # rounded up to hundredths; what an emulation tracks is nothing that is known
    seen = stage.observations.path("p", "a")
    assert seen is not None
    assert (seen.tracked_fidelity, seen.route_version) == (0.8, 2)
    for known, lost in ((None, 31), (pairs_pb2.FidelityEstimate(fidelity=0.9, high=0.92), 11)):
        pairs = pb.PairLinkReport(success_factor=0.5, fidelity_loss=0.0312, pair_total=9, fidelity=known)
        stage.hear(session, said(report=pb.Report(links=[pb.LinkReport(link="a-b", pairs=pairs)])))
        (event,) = stage.take()
        assert isinstance(event, events.LinkReport)
        assert (event.pair_rate_permille, event.pair_fidelity_loss_permille) == (500, lost)  # what is sure of it
    stage.hear(session, said(report=pb.Report(complete=True)))
    assert stage.observations.path("p", "a") is None


def test_a_repeated_notification_is_acknowledged_again_and_its_old_news_is_not_taken(stage: Stage) -> None:
    session, agent = quiet(stage), ModelAgent()
    first = said(notification=pb.Notification(sequence=1, link_down=down()))
    stage.hear(session, first)
    stage.hear(session, first)
    stage.tell(session, agent)
    assert agent.acknowledged == 0
    stage.commit()
    stage.tell(session, agent)
    assert agent.acknowledged == 1

    stage.hear(session, said(report=pb.Report(links=[pb.LinkReport(link="l")])))
    stage.commit()
    stage.take()
    stage.hear(session, first)
    message = session.next_message(stage.now_ms)
    assert message is not None
    assert message.notification_ack.sequence == 1
    assert stage.take() == []
    assert session.ending is None


def test_what_is_said_before_the_hashes_are_known_follows_the_word_that_the_agent_is_here(stage: Stage) -> None:
    stage.push({"links/l": b"1"})
    agent = ModelAgent()
    agent.entries = {"links/x": b"?"}
    session = stage.open(agent.hello())
    stage.tell(session, agent)
    stage.hear(session, said(notification=pb.Notification(sequence=1, link_down=down())))
    stage.commit()
    stage.tell(session, agent)
    assert agent.acknowledged == 0
    answer = agent.answer()
    assert answer is not None
    stage.take()
    stage.hear(session, answer)
    assert [type(event) for event in stage.take()] == [events.AgentConnected, events.LinkReport]
    stage.commit()
    stage.tell(session, agent)
    assert agent.acknowledged == 1


def test_a_session_that_ends_before_it_is_known_what_is_in_force_was_never_there(stage: Stage) -> None:
    stage.push({"links/l": b"1"})
    agent = ModelAgent()
    agent.entries = {"links/x": b"?"}
    session = stage.open(agent.hello())
    stage.take()
    session.end(Ending(code=Code.CANCELLED, reason="CLOSED", message="closed"))
    stage.registry.collect(session)
    assert stage.take() == []


def test_a_full_inbox_loses_nothing_and_keeps_the_order(stage: Stage) -> None:
    session = quiet(stage)
    stage.room = False
    stage.hear(session, said(report=pb.Report(links=[down("l1")])))
    stage.hear(session, said(report=pb.Report(links=[down("l2")])))
    assert stage.registry.blocked("a")
    session.end(Ending(code=Code.CANCELLED, reason="CLOSED", message="closed"))
    stage.registry.collect(session)
    assert refused(stage, hello()).reason == "BUSY"
    assert stage.events == []

    stage.room = True
    stage.registry.tick(stage.now_ms)
    told = stage.take()
    assert [getattr(event, "link", "lost") for event in told] == ["l1", "l2", "lost"]
    assert stage.open(hello()).connected


def test_an_agent_that_says_nonsense_is_an_alarm_once_and_its_sense_is_heard(stage: Stage) -> None:
    session = quiet(stage)
    for _ in range(2):
        report = pb.Report(
            complete=True,
            links=[down("Not A Link"), down("l")],
            relays=[pb.RelayReport(relay="")],
            alarms=[pb.Alarm(kind="lower case"), pb.Alarm(kind="FAN", object="../..")],
            queue_fill=float("nan"),
        )
        stage.hear(session, said(report=report))
    first, alarm = stage.take()
    assert first == events.LinkReport(node="a", link="l", down_reason="cut")
    assert isinstance(alarm, events.AlarmRaised)
    assert alarm.alarm.kind == "AGENT_FAULTY"
    assert session.ending is None
    seen = stage.observations.agent("a")
    assert seen is not None
    assert seen.queue_fill == 0.0


def test_a_flood_of_words_that_nobody_commits_ends_the_session(stage: Stage) -> None:
    session = quiet(stage)
    stage.hear(session, said(report=pb.Report(links=[down()])))
    for sequence in range(1, 10_100):
        session.receive(said(notification=pb.Notification(sequence=sequence, draining=pb.Draining())), stage.now_ms)
    assert session.ending is not None


def test_blocks_are_kept_once_each_and_only_the_newest(stage: Stage) -> None:
    session = quiet(stage)

    def report(*numbers: int) -> pb.SessionRequest:
        blocks = [
            pb.BlockReport(
                block=number,
                secret_bit=8,
                performance_kind=types_pb2.PERFORMANCE_KIND_QBER,
                performance=number / 1000,
            )
            for number in numbers
        ]
        return said(report=pb.Report(links=[pb.LinkReport(link="l", blocks=blocks)]))

    stage.hear(session, report(1, 2))
    stage.hear(session, report(2, 3))
    seen = stage.observations.link("l", "a")
    assert seen is not None
    assert [block.block for block in seen.blocks] == [1, 2, 3]
    assert seen.qber == 0.003
    stage.hear(session, report(*range(4, 100)))
    seen = stage.observations.link("l", "a")
    assert seen is not None
    assert [block.block for block in seen.blocks] == list(range(68, 100))


def test_what_an_agent_says_about_itself_can_be_seen(stage: Stage) -> None:
    session = quiet(stage, hello(agent_version="1.2"))
    stage.now_ms += 5
    relay = pb.RelayReport(relay="r", route_version=2, stock_bit=80, confirmed_bit_total=800, delivered_bit_total=720)
    stage.hear(session, said(report=pb.Report(complete=True, queue_fill=0.5, clock_offset_ms=-3.0, relays=[relay])))
    seen = stage.observations.agent("a")
    assert seen is not None
    assert (seen.queue_fill, seen.clock_offset_ms, seen.agent_version) == (0.5, -3.0, "1.2")
    assert (seen.last_heard_ms, seen.session_start_ms) == (stage.now_ms, stage.now_ms - 5)
    at_relay = stage.observations.relay("r", "a")
    assert at_relay is not None
    assert (at_relay.stock_bit, at_relay.delivered_bit_total) == (80, 720)


def test_settings_must_be_positive() -> None:
    with pytest.raises(Exception, match="southbound: part_bytes: 0 is not positive"):
        ControlSettings(part_bytes=0)
