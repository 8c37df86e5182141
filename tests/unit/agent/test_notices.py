"""Notifications are repeated until their effect is committed, and never pile up."""

from qinet.southbound.v1 import agent_pb2 as pb
from southbound.agent.notices import REPEAT_S, SIZE, Notices


def notice(link: str) -> pb.Notification:
    return pb.Notification(link_down=pb.LinkReport(link=link))


def sequences(found: list[pb.Notification]) -> list[tuple[int, str]]:
    return [(one.sequence, one.link_down.link) for one in found]


def test_they_are_numbered_in_order_and_told_once_until_it_is_time_again() -> None:
    notices = Notices()
    notices.add(("link", "a"), notice("a"))
    notices.add(("link", "b"), notice("b"))
    assert sequences(notices.due(0.0)) == [(1, "a"), (2, "b")]
    assert notices.due(1.0) == []
    assert sequences(notices.due(REPEAT_S)) == [(1, "a"), (2, "b")]
    notices.acknowledged(1)
    assert sequences(notices.due(2 * REPEAT_S)) == [(2, "b")]


def test_a_newer_word_on_the_same_matter_replaces_the_older() -> None:
    notices = Notices()
    notices.add(("link", "a"), notice("old"))
    notices.due(0.0)
    notices.add(("link", "a"), notice("new"))
    notices.acknowledged(1)
    assert sequences(notices.due(0.0)) == [(2, "new")]


def test_a_new_session_hears_all_that_was_not_acknowledged() -> None:
    notices = Notices()
    for link in "abc":
        notices.add(("link", link), notice(link))
    notices.due(0.0)
    notices.acknowledged(1)
    notices.reopen()
    notices.acknowledged(99)
    assert sequences(notices.due(0.1)) == [(1, "b"), (2, "c")]


def test_when_full_the_oldest_is_dropped() -> None:
    notices = Notices()
    for number in range(SIZE + 5):
        notices.add(("link", str(number)), notice(str(number)))
    assert notices.fill == 1.0
    assert sequences(notices.due(0.0))[0] == (1, "5")
