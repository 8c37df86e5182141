"""What each node is told, what it has confirmed, and the indexes that save recounting."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.domain.capacity import reserved_by
from controller.domain.entanglement_path import EntanglementPath, PairDemand
from controller.domain.entries import digest_of, entry_hash
from controller.domain.key_relay import Demand, KeyRelay, Phase
from controller.domain.pair_capacity import memories_of
from controller.domain.pair_link import Regime
from controller.domain.path_plan import Certificate, PathPlan
from controller.domain.route import Route
from controller.domain.service import Service
from controller.domain.snapshot import Snapshot, delete, put
from controller.service.configuration import Configuration
from controller.service.holdings import Holdings
from controller.service.lifecycle import blocked, removed, routed
from controller.wire.entries import entry_to_bytes
from tests.support.networks import line

OWNER = ("relays", "r")
RELAY = routed(
    KeyRelay(name="r", demand=Demand(source="n00", target="n02", rate_millibit_per_s=1000)),
    (Route(nodes=("n00", "n01", "n02"), links=("l00", "l01")),),
    version=2,
    now_ms=0,
    because="",
)


def hashes(wanted: dict[str, bytes]) -> dict[str, bytes]:
    return {entry_id: entry_hash(entry_id, content) for entry_id, content in wanted.items()}


def told(snapshot: Snapshot, node: str) -> dict[str, bytes]:
    pushes = Configuration(snapshot, entry_to_bytes).take_pushes()
    return dict(pushes[node] or {})


def test_nothing_is_confirmed_before_the_agents_first_word() -> None:
    snapshot = line(2)
    configuration = Configuration(snapshot, entry_to_bytes)
    assert not configuration.confirmed(OWNER, "n01")
    configuration.heard("n01", {}, 1)
    assert configuration.confirmed(OWNER, "n01")  # nothing is wanted of it, and nothing is in force
    assert not configuration.in_step("n01")  # but its links are not set
    configuration.heard("n01", hashes(told(snapshot, "n01")), 1)
    assert configuration.in_step("n01")
    assert configuration.digests()["n01"] == digest_of(hashes(told(snapshot, "n01")))


def test_a_word_older_than_the_wish_confirms_nothing_even_if_it_fits() -> None:
    # given a relay wanted at revision 5 and not any more at 6
    before = line(2)
    configuration = Configuration(before, entry_to_bytes)
    in_force = hashes(told(before, "n01"))
    configuration.heard("n01", in_force, 4)
    configuration.recompile(before.applying(put(RELAY)), OWNER, revision=5)
    configuration.recompile(before, OWNER, revision=6)
    # then what was in force before may be followed by the update of 5
    configuration.heard("n01", in_force, 5)
    assert not configuration.confirmed(OWNER, "n01")
    configuration.heard("n01", in_force, 6)
    assert configuration.confirmed(OWNER, "n01")


def test_what_an_agent_still_holds_after_a_new_start_is_not_confirmed() -> None:
    with_relay = line(2).applying(put(RELAY))
    configuration = Configuration(line(2), entry_to_bytes)
    assert OWNER in configuration.heard("n01", hashes(told(with_relay, "n01")), 9)
    assert not configuration.confirmed(OWNER, "n01")
    assert OWNER in configuration.heard("n01", hashes(told(line(2), "n01")), 9)
    assert configuration.confirmed(OWNER, "n01")


def test_an_entry_is_wanted_as_of_a_revision() -> None:
    configuration = Configuration(line(2), entry_to_bytes)
    configuration.recompile(line(2).applying(put(RELAY)), OWNER, revision=5)
    entry_id = f"keyRelays/r/routes/{RELAY.route_version}/shares/0"
    assert configuration.wanted_at("n01", entry_id, 5)
    assert not configuration.wanted_at("n01", entry_id, 4)
    assert not configuration.wanted_at("n00", entry_id, 5)  # the head end is told last


def test_a_deleted_node_is_told_so_and_what_was_wanted_of_it_is_forgotten() -> None:
    snapshot = line(2)
    configuration = Configuration(snapshot, entry_to_bytes)
    configuration.take_pushes()
    configuration.node_deleted("n02")
    configuration.recompile(snapshot.applying(delete("links", "l01")), ("links", "l01"), revision=2)
    pushes = configuration.take_pushes()
    assert pushes["n02"] is None
    assert set(pushes["n01"] or ()) == {"links/l00"}
    assert "n02" not in configuration.digests()
    assert configuration.confirmed(OWNER, "n02")
    configuration.node_deleted("n01")
    configuration.node_created("n01")
    assert (configuration.take_pushes(), configuration.take_pushes()) == ({"n01": None}, {"n01": {}})


LINE = ("l00", "l01", "l02")
NODES = ("n00", "n01", "n02", "n03")


@st.composite
def relays(draw: st.DrawFn) -> KeyRelay:
    start, end = sorted(draw(st.lists(st.integers(0, 3), min_size=2, max_size=2, unique=True)))
    demand = Demand(source=NODES[start], target=NODES[end], rate_millibit_per_s=draw(st.integers(1, 10**6)))
    relay = KeyRelay(name=draw(st.sampled_from("abc")), demand=demand)
    route = Route(nodes=NODES[start : end + 1], links=LINE[start:end])
    for version in range(draw(st.integers(0, 2))):
        relay = routed(relay, (route,), version=version, now_ms=0, because="")
    return draw(st.sampled_from([relay, blocked(relay, ""), removed(relay, "")]))


@st.composite
def paths(draw: st.DrawFn) -> EntanglementPath:
    start, end = sorted(draw(st.lists(st.integers(0, 3), min_size=2, max_size=2, unique=True)))
    demand = PairDemand(source=NODES[start], target=NODES[end], minimum_fidelity=0.7, rate_millihertz=1000)
    path = EntanglementPath(name=draw(st.sampled_from("abc")), demand=demand)
    route = Route(nodes=NODES[start : end + 1], links=LINE[start:end])
    for version in range(draw(st.integers(0, 2))):
        charges = dict.fromkeys((*route.links, *map(memories_of, route.nodes)), draw(st.integers(1, 9)))
        plan = PathPlan(
            regime=Regime.MEMORY,
            hops=(),
            swaps=(),
            test_share=0.05,
            rate_millihertz=1000,
            fidelity=0.9,
            charges=charges,
            certificate=Certificate(objective="rate_millihertz", value=1, upper_bound=1),
        )
        path = routed(path, (route,), plan=plan, version=version, now_ms=0, because="")
    return draw(st.sampled_from([path, blocked(path, ""), removed(path, "")]))


@settings(max_examples=100)
@given(st.lists(st.one_of(relays(), paths(), st.sampled_from(["a", "b", "entanglementPaths/a"])), max_size=12))
def test_the_indexes_are_what_a_recount_would_give(steps: list[KeyRelay | EntanglementPath | str]) -> None:
    present: dict[str, Service] = {}
    holdings = Holdings(())
    for step in steps:
        name = step if isinstance(step, str) else step.key
        before = present.pop(name, None)
        after = None if isinstance(step, str) else step
        if after is not None:
            present[name] = after
        if before or after:
            holdings.replaced(before, after)
    assert holdings.reserved == reserved_by(present.values())
    for link in LINE:
        assert set(holdings.on_link(link)) == {r.key for r in present.values() if link in r.links()}
    for node in NODES:
        expected = {
            r.key
            for r in present.values()
            if node in {r.demand.source, r.demand.target} | r.nodes() or any(node in h.nodes for h in r.releasing)
        }
        assert set(holdings.at_node(node)) == expected
    waiting = {r.key for r in present.values() if not r.removed and r.install_by_ms is not None}
    assert set(holdings.timed()) == waiting


def test_a_change_of_route_holds_both_until_the_old_one_is_off() -> None:
    settled = replace(RELAY, phase=Phase.SETTLED)
    moved = routed(settled, RELAY.routes, version=3, now_ms=10, because="again")
    assert moved.phase is Phase.INSTALLING
    assert [(left.version, left.in_use) for left in moved.retiring] == [(RELAY.route_version, True)]
    assert reserved_by([moved]) == reserved_by([RELAY])  # the same share: the larger, not both
    # what was only being installed was never in use, and is given up at once
    again = routed(moved, RELAY.routes, version=4, now_ms=20, because="")
    assert again.retiring == moved.retiring
    assert {held.link for held in again.releasing} == {"l00", "l01"}
