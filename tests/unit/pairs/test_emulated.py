"""What engines deliver, against closed forms that are written down here: no formula of the controller's is used."""

import itertools
import math
from collections.abc import Mapping

import pytest

from controller.domain.entries import PathEntry
from controller.domain.pair_link import PairHardware, PairModel, Regime
from tests.support.pair_emulation import Figures, emulate
from tests.unit.pairs.paths import chain, hardware, model

_W = (4 * 0.97 - 1) / 3


def run(entry: PathEntry, of: PairModel, node: PairHardware, pairs: int = 1500, seed: int = 5) -> Figures:
    models: Mapping[str, PairModel] = {hop.link: of for hop in entry.hops}
    found = emulate(dict.fromkeys(entry.nodes, node), models, entry, pairs=pairs, seed=seed)
    assert found.pairs >= pairs
    assert found.agreeing
    return found


def check(found: Figures, rate_hz: float, werner: float) -> None:
    assert found.rate_hz == pytest.approx(rate_hz, rel=0.05)
    assert found.mean_tracked_fidelity == pytest.approx((1 + 3 * werner) / 4, abs=0.01)


def longest(p: float, links: int) -> float:
    """Return E[max] of so many geometric waits, in attempts."""
    return math.fsum((-1) ** (k + 1) * math.comb(links, k) / (1 - (1 - p) ** k) for k in range(1, links + 1))


def test_one_hop_delivers_what_its_link_makes() -> None:
    found = run(chain("ab"), model(Regime.MEMORY, 0.1), hardware())
    check(found, 100.0, _W)


def test_two_links_with_failing_swaps_and_news_that_takes_time() -> None:
    node = hardware(swap_success=0.5, gate_quality=0.98, readout_quality=0.99)
    found = run(chain("abc", length_m=100_000), model(Regime.MEMORY, 0.1), node)
    check(found, 0.5 / (longest(0.1, 2) * 1e-3 + 0.5e-3), _W**2 * 0.98 * (4 * 0.99**2 - 1) / 3)


def test_two_links_with_a_cut_off() -> None:
    p, c, coherence_s = 0.05, 12, 0.1
    x, z = 1 - p, math.exp(-2 * 1e-3 / coherence_s)
    a = 1 - x * x
    success = (p * p + 2 * p * x * (1 - x**c)) / a
    slots = (1 / a + 2 * (p * x / a) * (1 - x**c) / p) / success
    kept = (p * p + 2 * p * x * p * z * (1 - (z * x) ** c) / (1 - z * x)) / (a * success)
    entry = chain("abc", cutoff_s=(c + 0.5) * 1e-3)
    found = run(entry, model(Regime.MEMORY, p), hardware(coherence_s=coherence_s), pairs=2000)
    # After a cut-off attempts begin anew within a slot: half a slot more for each round that failed.
    slots += 0.5 * (1 / success - 1)
    check(found, 1000.0 / slots, _W**2 * kept)


def test_four_links_with_memories_that_do_not_decay() -> None:
    found = run(chain("abcde", lanes=3), model(Regime.MEMORY, 0.05), hardware())
    check(found, 3 * 1000.0 / longest(0.05, 4), _W**4)


def test_a_purified_link() -> None:
    kept = (1 + _W**2) / 2
    better = (2 * _W + 4 * _W**2) / 6 / kept
    found = run(chain("ab", rounds=1, length_m=20_000), model(Regime.MEMORY, 0.1), hardware())
    check(found, kept / (longest(0.1, 2) * 1e-3 + 1e-4), better)


@pytest.mark.parametrize("names", ["abcd", "dcba"])
def test_slots_of_several_channels(names: str) -> None:
    p, q, width = 0.4, 0.8, 3
    at_least = [
        sum(math.comb(width, k) * p**k * (1 - p) ** (width - k) for k in range(n, width + 1)) for n in (1, 2, 3)
    ]
    found = run(chain(names, Regime.SLOT, lanes=width), model(Regime.SLOT, p), hardware(swap_success=q), seed=11)
    check(found, q * q * sum(one**3 for one in at_least) * 1000.0, _W**3)


def test_two_buffered_links() -> None:
    entry = chain("abc", Regime.BUFFERED, buffer_pairs=4, rate_hz=50.0)
    found = run(entry, model(Regime.BUFFERED, 0.1), hardware(swap_success=0.9), pairs=2000)
    check(found, 0.9 * 50.0 * 8 / 9, _W**2)


def test_five_links_with_deep_buffers_deliver_the_least_of_what_reaches_the_last_swap() -> None:
    names = "abcdef"
    entry = chain(names, Regime.BUFFERED, buffer_pairs=12, rate_hz=50.0)
    found = run(entry, model(Regime.BUFFERED, 0.2), hardware(memories=200), pairs=800)
    # 0.91 at depth 10 where every hop is as fast; a full buffer holds its makers back instead of losing pairs.
    assert 0.90 * 50.0 < found.rate_hz < 50.0
    assert found.mean_tracked_fidelity == pytest.approx((1 + 3 * _W**5) / 4, abs=0.01)


def test_two_swaps_all_at_once() -> None:
    entry = chain("cab", Regime.AT_ONCE, buffer_pairs=4, rate_hz=50.0)
    found = run(entry, model(Regime.AT_ONCE, 0.1), hardware(swap_success=0.9), pairs=2000)
    check(found, 0.9 * 50.0 * 8 / 9, _W**2)


@pytest.mark.parametrize("names", ["abcd", "cabd"])
def test_all_swaps_at_once_of_more_hops(names: str) -> None:
    entry = chain(names, Regime.AT_ONCE, buffer_pairs=20, rate_hz=50.0)
    found = run(entry, model(Regime.AT_ONCE, 0.1), hardware(swap_success=0.7), pairs=600)
    # Three streams that wait for each other lose more to buffers that are full than two.
    assert 0.9 * 0.49 * 50.0 < found.rate_hz < 0.49 * 50.0 * 1.03
    assert found.mean_tracked_fidelity == pytest.approx((1 + 3 * _W**3) / 4, abs=0.01)


def test_estimates_cover_what_is_tracked() -> None:
    looks = covered = 0
    for seed, share in itertools.product(range(3), (0.05, 0.2)):
        entry = chain("abc", test_share=share)
        models = {hop.link: model(Regime.MEMORY, 0.2, 0.9) for hop in entry.hops}
        found = emulate(dict.fromkeys("abc", hardware()), models, entry, pairs=500, seed=seed)
        looks, covered = looks + found.looks, covered + found.covered
    assert looks > 50
    assert covered / looks >= 0.93
