"""The rules of a session with the controller: who may speak when, and when it is over."""

import pytest

from controller.domain.snapshot import ElectionId
from qinet.southbound.v1 import agent_pb2 as pb
from qinet.types.v1 import types_pb2
from southbound.agent.configuration import Configuration
from southbound.agent.notices import Notices
from southbound.agent.session import Effect, End, Remember, Say, Session, Welcomed

NOTHING = Configuration()


def session(highest: ElectionId | None = None) -> Session:
    return Session(node="a", highest=highest, notices=Notices(), now_s=0.0)


def says(election: tuple[int, int] | None = (1, 1), **said: object) -> pb.SessionResponse:
    response = pb.SessionResponse(**said)  # type: ignore[arg-type]
    if election is not None:
        response.election_id.CopyFrom(types_pb2.ElectionId(epoch=election[0], term=election[1]))
    return response


WELCOME = pb.Welcome(heartbeat_interval_ms=1000, report_interval_ms=5000, max_message_bytes=1 << 20)


def hear(one: Session, response: pb.SessionResponse, now_s: float = 0.0) -> list[Effect]:
    return one.receive(response, NOTHING, now_s, 0.0)


def kinds(effects: list[Effect]) -> list[type]:
    return [type(effect) for effect in effects]


def test_a_first_election_id_is_remembered_before_anything_else() -> None:
    one = session()
    assert hear(one, says(welcome=WELCOME)) == [
        Remember(ElectionId(epoch=1, term=1)),
        Welcomed(ElectionId(epoch=1, term=1)),
    ]
    assert one.welcomed


def test_the_same_election_id_is_not_written_again() -> None:
    assert kinds(hear(session(ElectionId(epoch=1, term=1)), says(welcome=WELCOME))) == [Welcomed]


@pytest.mark.parametrize("low", [(1, 9), (2, 4)])
def test_a_lower_election_id_ends_it_and_nothing_is_remembered(low: tuple[int, int]) -> None:
    one = session(ElectionId(epoch=2, term=5))
    assert kinds(hear(one, says(low, welcome=WELCOME))) == [End]
    assert not one.welcomed


@pytest.mark.parametrize(
    ("response", "word"),
    [
        (says(None, welcome=WELCOME), "election id"),
        (says(heartbeat=pb.Heartbeat()), "before it answered Hello"),
        (says(config_update=pb.ConfigUpdate(parts=1)), "before it answered Hello"),
        (says(), "before it answered Hello"),
    ],
    ids=["no-election", "heartbeat", "update", "nothing"],
)
def test_nothing_comes_before_welcome(response: pb.SessionResponse, word: str) -> None:
    end = hear(session(ElectionId(epoch=1, term=1)), response)[-1]
    assert isinstance(end, End)
    assert word in end.reason


def test_a_second_welcome_ends_it() -> None:
    one = session()
    hear(one, says(welcome=WELCOME))
    assert kinds(hear(one, says(welcome=WELCOME))) == [End]


def test_three_missed_heartbeats_end_it_and_any_word_counts() -> None:
    one = session()
    hear(one, says(welcome=WELCOME))
    for now_s in (2.0, 4.0, 6.0):
        assert End not in kinds(one.due(now_s)[0])
        hear(one, says(heartbeat=pb.Heartbeat()), now_s)
    for now_s in (7.0, 8.0, 9.0):
        assert End not in kinds(one.due(now_s)[0])
    assert kinds(one.due(9.01)[0]) == [End]


def test_an_agent_that_slept_itself_reads_what_came_meanwhile_before_it_calls_the_controller_silent() -> None:
    one = session()
    hear(one, says(welcome=WELCOME))
    one.due(0.5)
    assert End not in kinds(one.due(60.0)[0])
    assert End not in kinds(one.due(60.5)[0])
    hear(one, says(heartbeat=pb.Heartbeat()), 60.5)
    for now_s in (61.5, 62.5, 63.5):
        assert End not in kinds(one.due(now_s)[0])
    assert kinds(one.due(63.6)[0]) == [End]


def test_an_agent_that_slept_calls_a_controller_silent_that_stays_so() -> None:
    one = session()
    hear(one, says(welcome=WELCOME))
    assert End not in kinds(one.due(60.0)[0])
    assert End not in kinds(one.due(61.0)[0])
    assert kinds(one.due(61.1)[0]) == [End]


def test_a_controller_that_does_not_answer_hello_is_given_up() -> None:
    one = session()
    assert one.due(9.9) == ([], False)
    assert kinds(one.due(10.1)[0]) == [End]


def test_heartbeats_and_complete_reports_are_due_at_their_intervals() -> None:
    one = session()
    hear(one, says(welcome=WELCOME))
    assert one.due(0.0) == ([], True)
    for second in range(1, 5):
        hear(one, says(heartbeat=pb.Heartbeat()), float(second))
        effects, report = one.due(float(second))
        (say,) = effects
        assert isinstance(say, Say)
        assert say.request.HasField("heartbeat")
        assert say.request.election_id.term == 1
        assert not report
        assert one.wait_s(float(second)) <= 1.0
    assert one.due(5.0)[1]


def test_a_message_of_a_later_version_is_let_pass() -> None:
    one = session()
    hear(one, says(welcome=WELCOME))
    assert hear(one, says()) == []
