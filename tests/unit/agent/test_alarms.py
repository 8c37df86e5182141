"""The alarms that stand at a node, and those that end by themselves."""

from southbound.agent.alarms import PASSING_AFTER_S, Alarms
from southbound.agent.keyplane.events import AlarmKind, ClearAlarm, RaiseAlarm
from southbound.agent.notices import Notices

LINK = "links/a-b"


class Turned:
    def __init__(self) -> None:
        self.now_s = 0.0
        self.notices = Notices()
        self.alarms = Alarms("a", self.notices, lambda: self.now_s)

    def raised(self, kind: AlarmKind) -> None:
        self.alarms.of_plane(RaiseAlarm(kind, LINK, "text"), 0)

    def kinds(self) -> list[str]:
        return [alarm.kind for alarm in self.alarms.active()]


def test_an_incident_is_over_once_none_like_it_was_seen_for_ten_minutes() -> None:
    turned = Turned()
    turned.raised(AlarmKind.TAG_INVALID)
    turned.now_s = PASSING_AFTER_S - 1
    turned.raised(AlarmKind.TAG_INVALID)
    turned.now_s = 2 * PASSING_AFTER_S - 2
    assert turned.kinds() == ["TAG_INVALID"]
    turned.now_s = 2 * PASSING_AFTER_S - 1
    assert turned.kinds() == []
    (told,) = turned.notices.due(0.0)
    assert told.alarm.cleared
    assert told.alarm.alarm.kind == "TAG_INVALID"


def test_a_fault_that_lasts_ends_by_word_alone() -> None:
    turned = Turned()
    turned.raised(AlarmKind.BLOCK_MISMATCH)
    turned.now_s = 100 * PASSING_AFTER_S
    assert turned.kinds() == ["BLOCK_MISMATCH"]
    turned.alarms.of_plane(ClearAlarm(AlarmKind.BLOCK_MISMATCH, LINK), 0)
    assert turned.kinds() == []
