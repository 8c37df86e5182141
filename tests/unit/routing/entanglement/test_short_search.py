"""Who decides while others wait searches shortly: what is found holds, what is not found is not said to be absent."""

from dataclasses import replace

import pytest

from apps.retry_blocked import RetryBlocked
from controller.domain.commands import BlockService
from controller.domain.entanglement_path import EntanglementPath, PairDemand
from controller.domain.events import ServiceWaits
from controller.domain.pair_link import Regime
from controller.domain.refusals import Precondition, TooHard
from controller.domain.service import ServiceState
from controller.domain.snapshot import Snapshot, put
from controller.routing.entanglement.find import find_path
from controller.routing.entanglement.network import pair_network_of
from controller.routing.entanglement.standing import check_path, predict
from controller.routing.places import find_place
from tests.support.networks import network
from tests.support.pair_networks import STATION, chance_network, pair_link, pair_snapshot, station

_BRIEF = 100


def line(fidelity: float = 0.98, coherence_s: float = 1.0) -> Snapshot:
    hardware = replace(STATION, coherence_s=coherence_s, can_purify=True, memories=20)
    links = [
        pair_link(f"l{place}", a, b, (0.05, fidelity), regime=Regime.MEMORY, memory_pairs=8, length_km=10.0)
        for place, (a, b) in enumerate([("a", "b"), ("b", "c"), ("c", "d")])
    ]
    return pair_snapshot([station(name, hardware) for name in "abcd"], links)


def demand(**more: object) -> PairDemand:
    return replace(PairDemand(source="a", target="d", minimum_fidelity=0.8, rate_millihertz=1000), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(6))
def test_a_plan_of_a_short_search_delivers_what_is_asked(seed: int) -> None:
    snapshot, wanted = chance_network(seed, Regime.MEMORY, most_nodes=6, decay=True)
    pairs = pair_network_of(snapshot)
    try:
        found = find_path(pairs, wanted, steps=_BRIEF, brief=True)
    except (Precondition, TooHard):
        return
    check_path(pairs, found.route, found.plan)
    rate, fidelity = predict(pairs, found.route, found.plan)
    assert rate >= (wanted.rate_millihertz or 0)
    assert fidelity >= wanted.minimum_fidelity - 1e-6
    certificate = found.plan.certificate
    assert certificate.upper_bound >= certificate.value


def test_a_short_refusal_says_how_much_fits_and_leaves_out_what_takes_many_searches() -> None:
    pairs = pair_network_of(line())
    told = {}
    for steps in (_BRIEF, 2000):
        with pytest.raises(Precondition) as refusal:
            find_path(pairs, demand(rate_millihertz=10_000_000), steps=steps, brief=steps == _BRIEF)
        told[steps] = refusal.value
    assert {refusal.reason for refusal in told.values()} == {"NO_CAPACITY"}
    assert told[_BRIEF].facts()["possible_rate_millihertz"] != "0"
    assert "no fidelity is possible" in told[2000].message
    assert "at the wanted rate" not in told[_BRIEF].message


def test_what_a_short_search_proves_to_be_out_of_reach_it_says() -> None:
    pairs = pair_network_of(network([], pairs=[("ab", "a", "b", 8)]))
    with pytest.raises(Precondition) as refusal:
        find_path(pairs, demand(target="b", minimum_fidelity=0.9999), steps=_BRIEF, brief=True)
    assert refusal.value.reason == "FIDELITY_UNREACHABLE"


def test_a_path_whose_search_ran_out_of_steps_stays_blocked_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_place.__kwdefaults__ is not None
    snapshot = line(fidelity=0.95, coherence_s=0.02)
    asked = demand(minimum_fidelity=0.92, rate_millihertz=1)
    with pytest.raises(TooHard):
        find_path(pair_network_of(snapshot), asked, steps=1)
    monkeypatch.setitem(find_place.__kwdefaults__, "steps", 1)
    path = EntanglementPath(name="p", demand=asked, accept_blocked=True, state=ServiceState.BLOCKED)
    commands = list(RetryBlocked().handle(ServiceWaits(service=path.key), snapshot.applying(put(path))))
    assert [type(command) for command in commands] == [BlockService]
    assert "within the steps of a search" in commands[0].because
