"""When an app counts as failed, and what that does to its alarm."""

from controller.domain.events import AlarmRaised
from controller.domain.snapshot import Snapshot, put
from controller.service.agent_desk import alarm_changed
from controller.service.host.failures import Pulse, failed, left_over, recovered


def test_an_app_with_nothing_to_take_is_well_however_long() -> None:
    pulse = Pulse(stuck_after_s=10)
    assert [pulse.look(alive=True, head=None, now_s=now) for now in (0.0, 100.0, 1e6)] == [None] * 3


def test_an_app_is_stuck_when_one_event_stays_first_and_well_again_when_it_goes() -> None:
    pulse = Pulse(stuck_after_s=10)
    first, second = object(), object()
    assert pulse.look(alive=True, head=first, now_s=0) is None
    assert pulse.look(alive=True, head=first, now_s=9.9) is None
    assert "10 s" in (pulse.look(alive=True, head=first, now_s=10) or "")
    assert pulse.look(alive=True, head=second, now_s=11) is None


def test_an_app_that_takes_slowly_is_not_stuck() -> None:
    pulse = Pulse(stuck_after_s=10)
    assert not any(pulse.look(alive=True, head=object(), now_s=9.0 * step) for step in range(10))


def test_an_app_whose_thread_ended_never_comes_back() -> None:
    pulse = Pulse(stuck_after_s=10)
    assert "ended" in (pulse.look(alive=False, head=None, now_s=0) or "")
    assert "ended" in (pulse.look(alive=True, head=None, now_s=1) or "")


def test_the_alarm_stands_until_the_app_goes_on_or_the_controller_begins_anew() -> None:
    raised = failed("c1", "billing.guard", "it hangs")
    assert isinstance(raised, AlarmRaised)
    snapshot = Snapshot().applying(alarm_changed(Snapshot(), raised, wall_ms=5))
    (alarm,) = snapshot.alarms.values()
    assert (alarm.kind, alarm.message, alarm.raised_ms) == ("OS_KEN_APP_FAILED", "it hangs", 5)
    assert "billing.guard" in alarm.object
    over = alarm_changed(snapshot, recovered("c1", "billing.guard"), wall_ms=6)
    assert not snapshot.applying(over).alarms
    assert left_over(snapshot) == [recovered("c1", "billing.guard")]
    assert left_over(Snapshot().applying(put())) == []
