"""What a plan is worth later: as links weaken, and as others take what it needs."""

from dataclasses import replace

import pytest

from controller.domain.entanglement_path import EntanglementPath, PairDemand
from controller.domain.link import LinkCondition
from controller.domain.pair_link import PairOption, Regime
from controller.domain.refusals import Precondition
from controller.domain.snapshot import Snapshot
from controller.routing.entanglement.find import Found, find_path
from controller.routing.entanglement.network import pair_network_of
from controller.routing.entanglement.standing import check_path, predict
from tests.support.pair_networks import STATION, pair_link, pair_snapshot, station


def _line(regime: Regime, conditions: dict[str, LinkCondition] | None = None) -> Snapshot:
    hardware = replace(STATION, coherence_s=None if regime is not Regime.MEMORY else 2.0)
    links = [
        pair_link(name, name[0], name[1], (0.1, 0.95), regime=regime, memory_pairs=16) for name in ("ab", "bc", "cd")
    ]
    return pair_snapshot([station(name, hardware) for name in "abcd"], links, conditions)


def _path(regime: Regime) -> Found:
    demand = PairDemand(source="d", target="a", minimum_fidelity=0.8, rate_millihertz=40_000)
    return find_path(pair_network_of(_line(regime)), demand)


@pytest.mark.parametrize("regime", list(Regime))
def test_weaker_links_are_predicted_to_deliver_less(regime: Regime) -> None:
    found = _path(regime)
    before = predict(pair_network_of(_line(regime)), found.route, found.plan)
    slow = predict(
        pair_network_of(_line(regime, {"bc": LinkCondition(pair_rate_permille=300)})), found.route, found.plan
    )
    worse = predict(
        pair_network_of(_line(regime, {"bc": LinkCondition(pair_fidelity_loss_permille=50)})), found.route, found.plan
    )
    assert before[0] >= found.plan.rate_millihertz > slow[0]
    assert before[1] == pytest.approx(found.plan.fidelity)
    assert worse[0] == before[0]
    assert worse[1] < before[1]


def test_pairs_without_entanglement_deliver_nothing() -> None:
    found = _path(Regime.BUFFERED)
    pure = _line(Regime.BUFFERED, {"bc": LinkCondition(pair_fidelity_loss_permille=700)})
    model = pure.links["bc"].pairs
    assert model is not None
    # Another option is still good for something: not the one that the plan takes.
    options = (*model.options, PairOption(success_probability=0.1, fidelity=1.0))
    better = replace(pure.links["bc"], pairs=replace(model, options=options))
    lost = replace(pure, links={**pure.links, "bc": better})
    assert predict(pair_network_of(lost), found.route, found.plan) == (0, 0.25)


def test_a_link_that_is_down_carries_nothing_new() -> None:
    found = _path(Regime.BUFFERED)
    down = pair_network_of(_line(Regime.BUFFERED, {"bc": LinkCondition(down_at=frozenset({"b"}))}))
    for refused in (lambda: predict(down, found.route, found.plan), lambda: check_path(down, found.route, found.plan)):
        with pytest.raises(Precondition, match="links/bc carries nothing new: down"):
            refused()


def test_a_plan_fits_beside_others_until_they_take_what_it_needs() -> None:
    found = _path(Regime.MEMORY)
    network = pair_network_of(_line(Regime.MEMORY))
    check_path(network, found.route, found.plan)
    spare = {resource: (network.free(resource) or 0) - amount for resource, amount in found.plan.charges.items()}
    check_path(network.charged(spare), found.route, found.plan)
    with pytest.raises(Precondition, match=r"bc \(1 more\)") as refused:
        check_path(network.charged({**spare, "bc": spare["bc"] + 1}), found.route, found.plan)
    assert refused.value.reason == "NO_CAPACITY"
    assert refused.value.facts() == {"limits": "bc", "missing": "1"}


def test_a_path_in_the_snapshot_holds_what_its_plan_says_unless_it_is_ignored() -> None:
    found = _path(Regime.MEMORY)
    path = EntanglementPath(
        name="p",
        demand=PairDemand(source="d", target="a", minimum_fidelity=0.8, rate_millihertz=40_000),
        routes=(found.route,),
        route_version=1,
        plan=found.plan,
    )
    empty = _line(Regime.MEMORY)
    snapshot = replace(empty, paths={"p": path})
    held = pair_network_of(snapshot)
    assert held == pair_network_of(empty).charged(found.plan.charges)
    assert pair_network_of(snapshot, ignoring=("entanglementPaths/p",)) == pair_network_of(empty)
    counted = replace(snapshot, reserved={**found.plan.charges, "elsewhere": 5})
    assert pair_network_of(counted) == held
    assert pair_network_of(counted, ignoring=("p",)) == pair_network_of(empty)


def test_a_network_without_some_links_says_why() -> None:
    network = pair_network_of(_line(Regime.BUFFERED)).without_links({"bc"}, why="being moved off")
    assert network.free("bc") is None
    assert network.free("ab") is not None
    assert network.wiring.unusable["bc"].why == "being moved off"
