"""The search finds what trying everything finds; the full comparison is `python -m tests.bench.exactness`."""

import pytest

from controller.domain.pair_link import Regime
from tests.bench.exactness import compare

_FIRST_SEED = 100_000
_SHARE = {Regime.BUFFERED: 24, Regime.AT_ONCE: 16, Regime.SLOT: 16, Regime.MEMORY: 6}


@pytest.mark.parametrize("regime", list(Regime))
def test_the_route_is_the_one_that_trying_everything_finds(regime: Regime) -> None:
    results = {seed: compare(seed, regime, slow=False) for seed in range(_FIRST_SEED, _FIRST_SEED + _SHARE[regime])}
    assert [seed for seed, (equal, _, _) in results.items() if not equal] == []
    assert [seed for seed, (_, agrees, _) in results.items() if not agrees] == []
    assert [seed for seed, (_, _, proven) in results.items() if not proven] == []
