"""What holds of pair engines whatever happens to them: streams that end, nodes that crash, cuts, routes that change."""

import itertools
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.domain.entries import PathEntry
from controller.domain.pair_link import Regime
from southbound.agent.pairs.effects import Delivered, Voided
from southbound.agent.pairs.estimate import FidelityWindow, TestPairs
from southbound.agent.pairs.messages import Herald, Message, Swapped, Token
from tests.support.virtual_pairs import VirtualNetwork
from tests.unit.pairs.paths import chain, hardware, model, network

_REGIMES = list(Regime)
_STREAMS = [("a", "b"), ("b", "c"), ("c", "d"), ("b", "d")]
_LONG, _SHORT = "abcd", "abd"


def entry(regime: Regime, nodes: str, version: int) -> PathEntry:
    return chain(
        nodes,
        regime,
        version=version,
        lanes=2,
        rounds=0 if regime is Regime.SLOT else 1,
        buffer_pairs=4,
        rate_hz=25.0,
        cutoff_s=0.1 if regime is Regime.MEMORY else None,
        length_m=20_000,
        test_share=0.2,
        promised_hz=20.0,
    )


class World:
    """Four nodes in a chain with a short cut, one path over them, and what must hold after every event."""

    def __init__(self, regime: Regime, seed: int) -> None:
        self.regime = regime
        node = hardware(memories=40, swap_success=0.8, coherence_s=2.0, gate_quality=0.99)
        self.net = network(_LONG, model(regime, 0.3, period_s=10e-3), node, length_m=20_000, seed=seed, more=["b-d"])
        self.entry = entry(regime, _LONG, 1)
        self.spent: Counter[tuple[str, int]] = Counter()
        self.net.watch = self.check
        self.net.tap = self.count
        self.net.install(self.entry)

    def check(self) -> None:
        for site in self.net.sites.values():
            engine = site.engine
            assert 0 <= engine.memories_in_use <= site.hardware.memories
            assert len(engine.timers) < 400
            # Every half in a memory is one that was taken for its version.
            held = sum(part.halves() for part in engine.parts())
            assert held <= engine.memories_in_use

    def count(self, sender: str, receiver: str, message: Message) -> None:
        if not isinstance(message, Swapped) or message.pair is None:
            return
        if self.swapper(message) == sender and receiver == self.left_of(message):
            for sequence in (message.spent_left, message.spent_right):
                self.spent[sender, sequence] += 1
                assert self.spent[sender, sequence] == 1

    def swapper(self, message: Swapped) -> str:
        nodes = self.nodes(message)
        (step,) = [
            one for one in self.steps(message) if (one[1], one[2]) == (nodes[message.left], nodes[message.right])
        ]
        return step[0]

    def steps(self, message: Swapped) -> list[tuple[str, str, str]]:
        return [(one.node, one.left, one.right) for one in entry(self.regime, self.nodes(message), 1).swaps]

    def left_of(self, message: Swapped) -> str:
        nodes = self.nodes(message)
        return nodes[nodes.index(self.swapper(message)) - 1]

    def nodes(self, message: Swapped) -> str:
        return _LONG if message.version % 2 else _SHORT

    def move(self) -> None:
        """Change the route as the controller does: set the new one, switch the head, remove the old one."""
        old, version = self.entry, self.entry.route_version + 1
        self.entry = entry(self.regime, _LONG if version % 2 else _SHORT, version)
        self.net.install(self.entry)
        self.net.passive(old)
        self.net.run(0.2)
        self.net.remove(old)

    def heal(self) -> None:
        for one, other in _STREAMS:
            self.net.fault(f"{one}-{other}")
            if other not in self.net.neighbours(one):
                self.net.connect(one, other)

    def delivered(self, node: str) -> dict[int, Delivered]:
        found = [effect for effect in self.net.sites[node].effects if isinstance(effect, Delivered)]
        assert len({effect.pair for effect in found}) == len(found)
        return {effect.pair.sequence: effect for effect in found}

    def voided(self, node: str) -> set[int]:
        found = [effect for effect in self.net.sites[node].effects if isinstance(effect, Voided)]
        return {sequence for effect in found for sequence in effect.sequences}


steps = st.one_of(
    st.tuples(st.just("run"), st.floats(0.001, 0.5)),
    st.tuples(st.just("down"), st.sampled_from(_STREAMS)),
    st.tuples(st.just("up"), st.sampled_from(_STREAMS)),
    st.tuples(st.just("crash"), st.sampled_from(_LONG)),
    st.tuples(st.just("cut"), st.sampled_from(_STREAMS)),
    st.tuples(st.just("slow"), st.sampled_from(_STREAMS)),
    st.tuples(st.just("move"), st.none()),
)


@settings(max_examples=12, deadline=None)
@given(st.sampled_from(_REGIMES), st.integers(0, 1000), st.lists(steps, max_size=12))
def test_whatever_happens_memories_suffice_ends_agree_and_pairs_come_again(
    regime: Regime, seed: int, script: list[tuple[str, object]]
) -> None:
    world = World(regime, seed)
    net = world.net
    for what, which in script:
        match what, which:
            case "run", float(seconds):
                net.run(seconds)
            case "down", (str(one), str(other)):
                net.disconnect(one, other)
            case "up", (str(one), str(other)) if other not in net.neighbours(one):
                net.connect(one, other)
            case "crash", str(node):
                net.crash(node)
            case "cut", (str(one), str(other)):
                net.fault(f"{one}-{other}", cut=True)
            case "slow", (str(one), str(other)):
                net.fault(f"{one}-{other}", success_factor=0.5, werner_factor=0.9)
            case "move", _:
                world.move()
    world.heal()
    head, far = world.delivered("a"), world.delivered("d")
    for sequence in head.keys() & far.keys():
        assert head[sequence] == far[sequence]
    crashed = {which for what, which in script if what == "crash"}
    moved = any(what == "move" for what, _ in script)
    # Once all is well again, pairs come again within the patience of the head, to both ends alike.
    net.run(7.5)
    before = set(world.delivered("a"))
    net.run(2.5)
    head, far = world.delivered("a"), world.delivered("d")
    new = head.keys() - before
    assert len(new) > 3
    assert {head[sequence].version for sequence in new} == {world.entry.route_version}
    if not crashed & {"a", "d"} and not moved:
        # What one end alone has had is void by now, but for what is under way.
        valid, far_valid = head.keys() - world.voided("a"), far.keys() - world.voided("d")
        assert len(valid ^ far_valid) <= 2
        assert not world.voided("a") & world.voided("d")
    missing = sum(head.get(sequence) != far.get(sequence) for sequence in new)
    assert missing <= 2, "those under way apart, both ends have the same"


@pytest.mark.parametrize("regime", _REGIMES)
def test_nothing_is_delivered_on_a_version_that_is_not_in_use(regime: Regime) -> None:
    world = World(regime, 1)
    net, old = world.net, world.entry
    net.run(1.0)
    waiting = replace(entry(regime, _SHORT, 2), passive=True)
    net.install(waiting)
    net.run(1.0)
    assert {effect.version for effect in world.delivered("a").values()} == {1}
    net.passive(old)
    assert net.sites["a"].engine.path_figures()[0].undrained_versions == (1,)
    net.run(0.2)
    for site in net.sites.values():
        assert all(not part.in_use for part in site.engine.parts())
    assert net.sites["a"].engine.path_figures()[0].undrained_versions == ()
    before = len(world.delivered("a")), len(world.delivered("d"))
    net.run(1.0)
    assert (len(world.delivered("a")), len(world.delivered("d"))) == before
    assert world.delivered("a").keys() == world.delivered("d").keys()


@pytest.mark.parametrize("regime", _REGIMES)
def test_a_change_of_the_route_loses_no_pair_that_one_end_has(regime: Regime) -> None:
    world = World(regime, 2)
    net = world.net
    for _ in range(6):
        net.run(1.0)
        world.move()
    net.passive(world.entry)
    net.run(0.5)
    voided = world.voided("a") | world.voided("d")
    head, far = world.delivered("a"), world.delivered("d")
    assert head.keys() - voided == far.keys() - voided
    assert all(head[sequence] == far[sequence] for sequence in head.keys() & far.keys())
    assert len(voided) <= 1, "a version that begins twice, as its nodes hear of it, may lose what is under way"
    assert len({effect.version for effect in world.delivered("a").values()}) >= 6


@pytest.mark.parametrize("regime", [Regime.MEMORY, Regime.BUFFERED, Regime.AT_ONCE])
def test_what_stands_still_is_begun_anew_by_the_head(regime: Regime) -> None:
    world = World(regime, 5)
    net = world.net
    net.run(1.0)
    # A part of the state is lost that no node can miss.
    net.loses = lambda message: isinstance(message, Swapped | Token | Herald)
    net.run(3.0)
    net.loses = lambda message: False
    net.run(20.0)
    before = len(world.delivered("a"))
    assert sum(figures.reset_total for figures in net.sites["a"].engine.path_figures()) >= 1
    net.run(2.0)
    assert len(world.delivered("a")) > before + 3


def test_one_lane_that_stands_still_is_begun_anew_alone() -> None:
    net = network(_LONG, model(Regime.MEMORY, 0.3, period_s=10e-3), hardware(), seed=6)
    net.install(chain(_LONG, lanes=2, promised_hz=20.0))
    net.run(1.0)
    generation = net.sites["b"].engine.parts()[0].generation
    net.loses = lambda message: isinstance(message, Swapped) and message.lane == 1
    net.run(0.5)
    net.loses = lambda message: False
    stood_s = net.now_s
    net.run(20.0)
    lanes = [effect.lane for effect in net.sites["d"].effects if isinstance(effect, Delivered)]
    again = [
        effect.goodness_s for effect in net.sites["d"].effects if isinstance(effect, Delivered) and effect.lane == 1
    ]
    assert net.sites["b"].engine.parts()[0].generation == generation, "the version itself was not begun anew"
    assert net.sites["a"].engine.path_figures()[0].reset_total == 1
    assert again[-1] > stood_s + 5.0
    assert lanes.count(0) > 1.2 * lanes.count(1)


@pytest.mark.parametrize("regime", _REGIMES)
def test_entries_may_come_in_any_order(regime: Regime) -> None:
    for order in itertools.islice(itertools.permutations(_LONG), 0, None, 7):
        world = World(regime, 3)
        net = world.net
        net.remove(world.entry)
        for node in order:
            net.put(node, world.entry)
            net.run(0.1)
        net.run(1.5)
        assert len(world.delivered("a")) > 2


@pytest.mark.parametrize("regime", _REGIMES)
def test_nothing_grows_without_bound(regime: Regime) -> None:
    world = World(regime, 4)
    net = world.net
    net.watch = None
    net.run(32.0)  # until all windows are full; test pairs have a bound of their own (test_estimate)
    before = size(net)
    net.run(15.0)
    assert size(net) <= 1.1 * before


def size(net: VirtualNetwork) -> int:
    """Return how many things engines hold, deep down."""
    seen: set[int] = set()

    def count(thing: object) -> int:
        if id(thing) in seen or isinstance(thing, FidelityWindow | TestPairs | str | int | float | bool | type | None):
            return 0
        seen.add(id(thing))
        if isinstance(thing, dict):
            return len(thing) + sum(count(value) for value in thing.values())
        if isinstance(thing, list | tuple | set | frozenset) or type(thing).__name__ == "deque":
            items: list[object] = list(thing)  # type: ignore[call-overload]
            return len(items) + sum(count(one) for one in items)
        if type(thing).__module__.startswith("southbound"):
            names = [name for cls in type(thing).__mro__ for name in getattr(cls, "__slots__", ())]
            values = [getattr(thing, name, None) for name in names] + list(getattr(thing, "__dict__", {}).values())
            return sum(count(value) for value in values)
        return 0

    return sum(count(site.engine) for site in net.sites.values())
