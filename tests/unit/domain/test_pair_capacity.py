"""What links and nodes have for pairs, and what plans take of it, by regime."""

import pytest

from controller.domain.link import LinkCondition
from controller.domain.pair_capacity import (
    SWAP_TIME_US_PER_S,
    effective_options,
    pair_capacity,
    plan_charges,
    stream_charge,
)
from controller.domain.pair_link import Regime
from controller.domain.path_plan import HopPlan, SwapStep
from controller.domain.route import Route
from southbound.agent.pair_entries import memories_needed
from tests.support.pair_networks import pair_link, station
from tests.unit.pairs.paths import chain, hardware, model, network

_ROUTE = Route(nodes=("a", "b", "c", "d"), links=("ab", "bc", "cd"))
_SWAPS = (SwapStep(node="c", left="b", right="d"), SwapStep(node="b", left="a", right="d"))
_LINKS = {name: pair_link(name, name[0], name[1], (0.1, 0.9), (0.02, 0.99)) for name in _ROUTE.links}
_NODES = {name: station(name) for name in _ROUTE.nodes}


def _charges(regime: Regime, *, storeless: frozenset[str] = frozenset()) -> dict[str, int]:
    buffering = regime in (Regime.BUFFERED, Regime.AT_ONCE)
    return plan_charges(
        regime,
        _ROUTE,
        tuple(
            HopPlan(link=name, option=1, memory_pairs=pairs, rate_millihertz=7000 if buffering else 0)
            for name, pairs in zip(_ROUTE.links, (1, 2, 4), strict=True)
        ),
        _SWAPS,
        models={name: link.pairs for name, link in _LINKS.items() if link.pairs is not None},
        buffer_pairs=8 if buffering else 0,
        swap_time_us_per_s={"b": 5, "c": 0},
        storeless=storeless,
    )


@pytest.mark.parametrize("regime", [Regime.SLOT, Regime.MEMORY])
def test_channels_and_memory_pairs_are_charged_with_the_memories_at_both_sides(regime: Regime) -> None:
    assert _charges(regime) == {
        "ab": 1,
        "bc": 2,
        "cd": 4,
        "nodes/a/memories": 1,
        "nodes/b/memories": 3,
        "nodes/c/memories": 6,
        "nodes/d/memories": 4,
        "nodes/b/swap-time": 5,
    }


def test_buffers_are_charged_for_every_segment_but_the_whole_path() -> None:
    charges = _charges(Regime.BUFFERED)
    assert {node: charges[f"nodes/{node}/memories"] for node in "abcd"} == {"a": 8, "b": 24, "c": 16, "d": 16}


def test_swaps_at_once_need_no_buffers_of_longer_segments() -> None:
    charges = _charges(Regime.AT_ONCE)
    assert {node: charges[f"nodes/{node}/memories"] for node in "abcd"} == {"a": 8, "b": 16, "c": 16, "d": 8}


@pytest.mark.parametrize("regime", [Regime.BUFFERED, Regime.AT_ONCE])
@pytest.mark.parametrize(("buffer_pairs", "rounds"), [(1, 2), (2, 3), (8, 2)])
def test_a_plan_reserves_the_memories_that_the_agents_take_for_it(
    regime: Regime, buffer_pairs: int, rounds: int
) -> None:
    entry = chain(_ROUTE.nodes, regime, rounds=rounds, buffer_pairs=buffer_pairs, rate_hz=1.0)
    links = tuple(hop.link for hop in entry.hops)
    charges = plan_charges(
        regime,
        Route(nodes=entry.nodes, links=links),
        entry.hops,
        entry.swaps,
        models={name: model(regime) for name in links},
        buffer_pairs=buffer_pairs,
        swap_time_us_per_s={},
    )
    net = network("abcd", model(regime), hardware())
    net.install(entry)
    net.run(1.0)
    for node in entry.nodes:
        taken = net.sites[node].engine.memories_in_use
        assert charges[f"nodes/{node}/memories"] == taken == memories_needed(entry, node)


def test_a_slower_option_takes_more_of_a_stream_of_attempts() -> None:
    assert _charges(Regime.BUFFERED)["ab"] == 5 * 7000
    model = _LINKS["ab"].pairs
    assert model is not None
    assert (stream_charge(model, 0, 7000), stream_charge(model, 1, 1)) == (7000, 5)


def test_an_end_that_stores_nothing_is_charged_no_memories() -> None:
    assert "nodes/a/memories" not in _charges(Regime.MEMORY, storeless=frozenset({"a"}))


def test_a_measured_rate_lowers_what_a_stream_can_promise_and_not_how_many_memory_pairs_there_are() -> None:
    weak = {"ab": LinkCondition(pair_rate_permille=250), "m": LinkCondition(pair_rate_permille=250)}
    links = {**_LINKS, "m": pair_link("m", "a", "b", (0.1, 0.9), regime=Regime.MEMORY, memory_pairs=9)}
    # A small share of a link's pairs may be taken to test it.
    assert pair_capacity(_NODES, links, {}, "ab") == pytest.approx(100_000, rel=0.01)
    assert pair_capacity(_NODES, links, weak, "ab") == pytest.approx(25_000, rel=0.01)
    assert pair_capacity(_NODES, links, weak, "m") == 9


def test_nodes_have_memories_and_a_second_of_swaps_a_second() -> None:
    assert pair_capacity(_NODES, _LINKS, {}, "nodes/a/memories") == 100
    assert pair_capacity(_NODES, _LINKS, {}, "nodes/a/swap-time") == SWAP_TIME_US_PER_S
    for absent in ("nodes/x/memories", "nodes/a/doors", "xy"):
        assert pair_capacity(_NODES, _LINKS, {}, absent) == 0


def test_options_work_as_measured_and_those_without_entanglement_do_not() -> None:
    condition = LinkCondition(pair_rate_permille=500, pair_fidelity_loss_permille=680)
    (left,) = effective_options(_LINKS["ab"], condition)
    assert left.index == 1
    assert left.success_probability == pytest.approx(0.01, rel=0.01)
    assert left.fidelity == pytest.approx(0.31)
    assert effective_options(_LINKS["ab"], LinkCondition(pair_rate_permille=0)) == ()
