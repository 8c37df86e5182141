"""What of a relay's life is worth a line."""

from dataclasses import replace

from controller.domain.history import KEPT_CHANGES, RelayHistory, with_change
from controller.domain.key_relay import Demand, KeyRelay, RelayState

RELAY = KeyRelay(name="r", demand=Demand(source="a", target="b", rate_millibit_per_s=1))


def told(
    history: RelayHistory | None, before: KeyRelay | None, after: KeyRelay, revision: int, by: str
) -> RelayHistory:
    longer = with_change(history, before, after, revision=revision, at_ms=revision, by=by)
    assert longer is not None
    return longer


def test_what_follows_in_the_same_commit_is_part_of_the_line_of_who_caused_it() -> None:
    moved = replace(RELAY, state=RelayState.RESTORING, state_reason="cut")
    history = told(None, None, RELAY, 1, "user/alice")
    history = told(history, RELAY, moved, 2, "apps/Restoration")
    history = told(history, moved, replace(moved, state=RelayState.ACTIVE, state_reason=""), 2, "controller")
    assert [(line.by, line.state, line.reason) for line in history.changes] == [
        ("user/alice", RelayState.PENDING, ""),
        ("apps/Restoration", RelayState.ACTIVE, "cut"),
    ]


def test_a_line_tells_why_a_relay_moved_before_how_it_stands_since() -> None:
    moved = replace(RELAY, route_version=2, state_reason="cut")
    history = told(None, None, RELAY, 1, "user/alice")
    history = told(history, RELAY, moved, 2, "apps/Restoration")
    after = replace(moved, state_reason="unprotected")
    history = told(history, moved, after, 2, "controller")
    history = told(history, after, replace(after, state=RelayState.ACTIVE), 2, "controller")
    assert history.changes[-1].reason == "cut; unprotected"


def test_a_change_that_says_nothing_new_has_no_line() -> None:
    assert with_change(None, RELAY, replace(RELAY, riding=True), revision=2, at_ms=0, by="x") is None


def test_only_why_it_waits_has_changed_is_told_in_the_line_that_says_it_waits() -> None:
    waiting = replace(RELAY, state=RelayState.BLOCKED, state_reason="first")
    history = told(None, RELAY, waiting, 3, "apps/RetryBlocked")
    history = told(history, waiting, replace(waiting, state_reason="second"), 4, "apps/RetryBlocked")
    assert [(line.reason, line.revision) for line in history.changes] == [("second", 3)]


def test_the_oldest_lines_go_first_and_another_relay_of_the_name_begins_anew() -> None:
    history: RelayHistory | None = None
    before = RELAY
    for revision in range(KEPT_CHANGES + 9):
        after = replace(before, route_version=revision + 1)
        history = told(history, before, after, revision, "x")
        before = after
    assert history is not None
    assert len(history.changes) == KEPT_CHANGES
    assert history.changes[-1].route_version == KEPT_CHANGES + 9
    assert len(told(replace(history, gone_ms=5), None, RELAY, 99, "y").changes) == 1
