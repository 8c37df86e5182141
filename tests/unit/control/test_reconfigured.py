"""Intervals that change while agents are connected."""

from southbound.control.settings import ControlSettings
from tests.unit.control.model_agent import ModelAgent, hello
from tests.unit.control.stage import Stage


def test_sessions_that_begin_after_a_change_have_the_new_intervals_and_those_that_stand_keep_theirs() -> None:
    stage = Stage(ControlSettings(heartbeat_interval_ms=2_000, report_interval_ms=5_000))
    for node in ("a", "b"):
        stage.push({}, node)
    standing = stage.open(hello())
    stage.settle(standing, ModelAgent())

    stage.registry.reconfigure(ControlSettings(heartbeat_interval_ms=500, report_interval_ms=250))

    fresh = stage.open(hello(node="b"), "b").next_message(stage.now_ms)
    assert fresh is not None
    assert (fresh.welcome.heartbeat_interval_ms, fresh.welcome.report_interval_ms) == (500, 250)
    # The agent of the session that stands beats every 2 s, as it was told: it is not given up after 3 beats of 500 ms.
    stage.now_ms += 1_900
    standing.tick(stage.now_ms)
    stage.now_ms += 1_900
    standing.tick(stage.now_ms)
    assert standing.ending is None
