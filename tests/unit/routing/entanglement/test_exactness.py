"""The search finds what trying everything finds; the full comparison is `python -m tests.bench.exactness`."""

import pytest

from controller.domain.pair_link import Regime
from controller.routing.entanglement.find import STEPS
from controller.routing.entanglement.ground import ground_of
from controller.routing.entanglement.keyed import best_keyed
from controller.routing.entanglement.network import pair_network_of
from tests.bench.exactness import compare
from tests.support.pair_brute_force import best_by_trying_all
from tests.support.pair_networks import chance_network

_FIRST_SEED = 100_000
_SHARE = {Regime.BUFFERED: 24, Regime.AT_ONCE: 16, Regime.SLOT: 16, Regime.MEMORY: 4}


@pytest.mark.parametrize("regime", list(Regime))
def test_the_route_is_the_one_that_trying_everything_finds(regime: Regime) -> None:
    results = {seed: compare(seed, regime, slow=False) for seed in range(_FIRST_SEED, _FIRST_SEED + _SHARE[regime])}
    assert [seed for seed, (equal, _, _) in results.items() if not equal] == []
    assert [seed for seed, (_, agrees, _) in results.items() if not agrees] == []
    assert [seed for seed, (_, _, proven) in results.items() if not proven] == []


@pytest.mark.parametrize("regime", [Regime.BUFFERED, Regime.AT_ONCE, Regime.SLOT])
def test_the_route_of_the_most_key_is_worth_what_trying_everything_finds(regime: Regime) -> None:
    for seed in range(_FIRST_SEED, _FIRST_SEED + 12):
        snapshot, demand = chance_network(seed, regime, equal_q=seed % 2 == 0)
        ground = ground_of(pair_network_of(snapshot), demand, regime)
        found = best_keyed(ground, demand.minimum_fidelity, STEPS)
        tried = best_by_trying_all(snapshot, demand, regime, keyed=True)
        if tried is None:
            assert found is None or found.value == 0
        else:
            assert found is not None
            assert (found.value, found.bound) == pytest.approx((tried.rate_hz, tried.rate_hz), rel=1e-9), seed
