"""Programs killed under load, and a relay moved under traffic: a few times of what `make test-kill` does."""

from pathlib import Path

import pytest

from tests.chaos import kill, moves

pytestmark = pytest.mark.timeout(300)


def test_what_was_acknowledged_stands_and_every_key_is_equal_after_four_kills(tmp_path: Path) -> None:
    seen = kill.run(tmp_path, times=4, seed=4)
    assert seen["broken"] == []
    assert sum(seen["kills"].values()) >= 4
    assert sum(seen["requests_done"].values()) >= 4
    assert seen["keys_equal"] >= 3 * 2 * len(kill.KITE.relays)


@pytest.mark.parametrize("kind", ["plain", "one-plus-one"])
def test_no_request_fails_and_no_key_differs_while_the_relay_moves(tmp_path: Path, kind: str) -> None:
    seen = moves.run(tmp_path, times=4, seed=4, kind=kind, before_s=0.5)
    assert seen["broken"] == []
    assert sum(seen["moves"].values()) == 4
