"""What the core makes of a network that weakens, falls silent, vanishes, or is led by others; and who asked."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from controller.domain.application import Sae
from controller.domain.auto_relay import AutoRelay
from controller.domain.events import ApplicationAsked, ElectionAhead
from controller.domain.key_relay import KeyRelay, Protection, RelayState
from controller.domain.snapshot import Snapshot
from controller.service import auto_relay
from controller.service.core import Core
from controller.service.requests import Create, Delete, SetFreeze
from controller.service.writer import check_storable
from controller.wire.entries import entry_to_bytes
from tests.support.networks import line, network, ring
from tests.support.virtual_agents import VirtualNetwork


def up(snapshot: Snapshot) -> VirtualNetwork:
    world = VirtualNetwork(snapshot)
    world.connect_all()
    return world


def kinds(world: VirtualNetwork) -> set[str]:
    return {alarm.kind for alarm in world.snapshot.alarms.values()}


def states(world: VirtualNetwork) -> dict[str, RelayState]:
    return {name: relay.state for name, relay in world.snapshot.relays.items()}


# A link weakens


def test_the_least_important_relays_leave_a_link_that_weakened_until_the_rest_fits() -> None:
    world = up(network([("thin", "a", "b", 10_000), ("way", "a", "c", 3000), ("round", "b", "c", 3000)]))
    for name, priority in (("high", 9), ("middle", 5), ("low", 1)):
        world.create(name, "a", "b", 2000, priority=priority)
    world.quiet()
    assert all(relay.links() == {"thin"} for relay in world.snapshot.relays.values())
    world.weaken("thin", 5000)
    assert "LINK_OVERPROMISED" in kinds(world)  # until what leaves is off
    world.quiet()
    assert world.snapshot.relays["low"].links() == {"way", "round"}
    assert world.snapshot.relays["middle"].links() == {"thin"}
    assert set(states(world).values()) == {RelayState.ACTIVE}
    assert not kinds(world)


def test_who_fits_nowhere_is_blocked_for_the_more_important_and_comes_back_by_itself() -> None:
    world = up(network([("thin", "a", "b", 10_000)]))
    for name, priority in (("high", 9), ("also", 9), ("low", 1)):
        world.create(name, "a", "b", 2000, priority=priority)
    world.quiet()
    world.weaken("thin", 1000)
    world.quiet()
    # the most important share what is left, and the alarm says that it is too little
    blocked = RelayState.BLOCKED
    assert states(world) == {"high": RelayState.ACTIVE, "also": RelayState.ACTIVE, "low": blocked}
    assert kinds(world) == {"LINK_OVERPROMISED", "RELAY_BLOCKED"}
    assert "links/thin" in world.snapshot.relays["low"].state_reason
    world.weaken("thin", 9000)
    world.quiet()
    assert set(states(world).values()) == {RelayState.ACTIVE}
    assert not kinds(world)


def test_the_reason_of_a_blocked_relay_follows_the_present_cause() -> None:
    world = up(line(2))
    world.create("r", "n00", "n02")
    world.quiet()
    world.cut("l00")
    world.exhaust("l00")
    assert "links/l00" in world.snapshot.relays["r"].state_reason
    world.cut("l01")
    world.repair("l00")
    reason = world.snapshot.relays["r"].state_reason
    assert "links/l01" in reason
    assert "links/l00" not in reason


# A node falls silent


def test_a_node_is_down_for_relaying_when_its_session_is_lost_and_its_neighbours_do_not_hear_it() -> None:
    world = up(ring(4))
    world.create("r", "n00", "n02")
    world.quiet()
    (transit,) = world.snapshot.relays["r"].routes[0].transit
    sides = [(link.far(transit), name) for name, link in world.snapshot.links.items() if transit in link.nodes]
    before = world.snapshot.relays["r"].routes

    world.lose(transit)
    assert world.snapshot.relays["r"].routes == before
    world.unheard(*sides[0], silent=True)
    assert world.snapshot.relays["r"].routes == before  # the other neighbour has not said so
    world.unheard(*sides[1], silent=True)
    assert transit not in world.snapshot.relays["r"].nodes()
    assert "NODE_UNREACHABLE" in kinds(world)

    world.connect(transit)
    world.quiet()
    for side in sides:
        world.unheard(*side, silent=False)
    assert not kinds(world)
    assert states(world) == {"r": RelayState.ACTIVE}
    world.check_quiet()


def test_neighbours_words_alone_move_nothing() -> None:
    world = up(ring(4))
    world.create("r", "n00", "n02")
    world.quiet()
    before = world.snapshot.relays["r"]
    (transit,) = before.routes[0].transit
    for name, link in world.snapshot.links.items():
        if transit in link.nodes:
            world.unheard(link.far(transit), name, silent=True)
    assert world.snapshot.relays["r"] == before


def test_without_a_way_around_a_silent_node_the_relay_stays_and_works_again_with_it() -> None:
    world = up(line(2))
    world.create("r", "n00", "n02")
    world.quiet()
    routes = world.snapshot.relays["r"].routes
    world.lose("n01")
    world.unheard("n00", "l00", silent=True)
    world.unheard("n02", "l01", silent=True)
    assert (world.snapshot.relays["r"].routes, states(world)["r"]) == (routes, RelayState.DEGRADED)
    world.connect("n01")
    world.quiet()
    assert states(world) == {"r": RelayState.ACTIVE}


# Much vanishes at once


def star_of_rings() -> Snapshot:
    """Fifteen links, no node with more than three of them."""
    return network(
        [(f"l{i}", f"n{i}", f"n{(i + 1) % 10}", 10_000) for i in range(10)]
        + [(f"c{i}", f"n{i}", f"n{i + 5}", 10_000) for i in range(5)]
    )


def test_when_much_vanishes_at_once_automatic_moves_stop_until_an_operator_lets_them_go_on() -> None:
    world = up(star_of_rings())
    world.create("r", "n1", "n3", 1000)
    world.quiet()
    routes = world.snapshot.relays["r"].routes
    for link in ("l4", "l5", "l6", "l7", "l8"):
        world.cut(link)
    assert world.snapshot.frozen is not None
    assert world.snapshot.frozen.by == "controller"
    assert "FROZEN" in kinds(world)
    world.cut(routes[0].links[0])
    world.quiet()
    assert world.snapshot.relays["r"].routes == routes
    assert "frozen" in world.snapshot.relays["r"].state_reason or world.snapshot.relays["r"].riding
    world.ask(SetFreeze(frozen=False))
    world.quiet()
    assert world.snapshot.relays["r"].routes != routes
    assert "FROZEN" not in kinds(world)


def test_what_comes_back_or_vanished_long_ago_does_not_count() -> None:
    world = up(star_of_rings())
    for link in ("l4", "l5", "l6", "l7"):
        world.cut(link)
    world.pass_time(31_000)
    for link in ("l0", "l1"):
        world.cut(link)
        world.repair(link)
    for link in ("l2", "l3"):
        world.cut(link)
    assert world.snapshot.frozen is None


def test_a_small_network_is_not_frozen_by_a_cut_nor_by_the_loss_of_a_node_with_all_its_links() -> None:
    world = up(network((f"l{i}", "hub", f"n{i}", 10_000) for i in range(6)))
    for i in range(6):
        world.cut(f"l{i}")
    assert world.snapshot.frozen is None
    small = up(line(2))
    small.cut("l00")
    assert small.snapshot.frozen is None


def test_agents_lost_in_numbers_freeze_too() -> None:
    world = up(star_of_rings())
    for i in range(5):
        world.lose(f"n{i}")
    assert world.snapshot.frozen is not None


# Others lead


def test_one_agent_that_has_seen_a_higher_election_id_is_an_alarm_and_most_of_them_depose_this_controller() -> None:
    world = up(line(2))
    ahead = ElectionAhead(node="n00", highest_epoch=9, highest_term=1)
    world.take(ahead)
    assert kinds(world) == {"ELECTION_ID_AHEAD"}
    assert not world.core.deposed
    world.take(replace(ahead, node="n01"))
    assert "raise-epoch" in world.core.deposed
    world.connect("n01")
    assert not world.core.deposed
    world.connect("n00")
    assert not kinds(world)


# Who did what


def test_the_history_of_a_relay_tells_what_happened_why_and_who_caused_it() -> None:
    world = up(ring(4))
    world.create("r", "n00", "n02")
    world.quiet()
    world.cut(world.snapshot.relays["r"].routes[0].links[0])
    world.quiet()
    world.delete("r")
    world.quiet()
    history = world.snapshot.histories["r"]
    assert history.changes[0].by == "user/test"
    moved = [change for change in history.changes if change.by == "apps/Restoration"]
    assert "is down" in moved[0].reason
    assert (history.changes[-1].by, history.changes[-1].state) == ("user/test", RelayState.REMOVING)
    assert history.gone_ms is not None
    world.pass_time(24 * 3600 * 1000 + 30_000)
    assert not world.snapshot.histories


def test_a_relay_that_bears_the_name_of_one_gone_repeats_none_of_its_versions() -> None:
    world = up(ring(4))
    world.create("r", "n00", "n02", protection=Protection.ONE_FOR_ONE)
    world.quiet()
    given = {change.route_version for change in world.snapshot.histories["r"].changes}
    world.delete("r")
    world.quiet()
    world.create("r", "n00", "n02", protection=Protection.ONE_FOR_ONE)
    assert world.snapshot.relays["r"].route_version > max(given) + 1


def test_entries_of_a_relay_with_a_lifetime_carry_what_is_left_of_it() -> None:
    world = up(line(1))
    world.create("r", "n00", "n01", lifetime_s=100)
    world.create("s", "n00", "n01")
    world.pass_time(40_500)
    version = world.snapshot.relays["r"].route_version
    assert world.core.remaining_s(world.now) == {f"keyRelays/r/routes/{version}/shares/0": 60}


def test_a_removed_relay_whose_last_nodes_are_deleted_is_gone() -> None:
    world = up(line(1))
    world.create("r", "n00", "n01")
    world.quiet()
    world.lose("n00")
    world.lose("n01")
    world.delete("r")
    assert world.snapshot.relays["r"].removed
    for collection, key in (("links", "l00"), ("nodes", "n00"), ("nodes", "n01")):
        world.ask(Delete(collection=collection, key=key))
    assert not world.snapshot.relays
    assert not world.core.reserved()


# Long work


def test_a_cut_under_many_relays_is_worked_off_over_turns_most_important_first() -> None:
    world = up(network([("ab", "a", "b", 10**6), ("ac", "a", "c", 10**5), ("bc", "b", "c", 10**5)]))
    for number in range(30):
        world.create(f"r{number:02}", "a", "b", 1000, priority=number % 3)
    world.quiet()
    routes = {name: relay.routes for name, relay in world.snapshot.relays.items()}
    world.enough = every(5)
    world.cut("ab", at="a")
    turns, order = 0, []
    while world.work():
        turns += 1
        moved = [name for name, relay in world.snapshot.relays.items() if relay.routes != routes[name]]
        # More than one may move in a turn.
        moved.sort(key=lambda name: -world.snapshot.relays[name].demand.priority)
        order += [name for name in moved if name not in order]
        world.check_promises()
    assert turns > 20
    assert len(order) == 30
    priorities = [world.snapshot.relays[name].demand.priority for name in order]
    assert priorities == sorted(priorities, reverse=True)


def test_what_a_crash_leaves_of_long_work_is_done_by_the_next_controller() -> None:
    world = up(ring(4, bit_per_s=1_000_000))
    for number in range(10):
        world.create(f"r{number}", "n00", "n02", 1000)
    world.quiet()
    link = world.snapshot.relays["r0"].routes[0].links[0]
    world.enough = every(3)
    world.cut(link)
    world.work()
    world.restart()
    world.enough = every(10**9)
    world.connect_all()
    world.pass_time(31_000)
    world.quiet()
    assert all(link not in relay.links() for relay in world.snapshot.relays.values())
    assert set(states(world).values()) == {RelayState.ACTIVE}
    world.check_quiet()


def every(steps: int) -> Callable[[], bool]:
    taken = 0

    def enough() -> bool:
        nonlocal taken
        taken += 1
        return taken % steps == 0

    return enough


# Who asks for keys


def asking(snapshot: Snapshot, **policy: Any) -> VirtualNetwork:
    made = AutoRelay(rate_millibit_per_s=1_000_000, **policy)

    class Asking(VirtualNetwork):
        def _core_on(self, snapshot: Snapshot) -> Core:
            return Core(snapshot, self._apps, entry_to_bytes, check_storable, made)

    world = Asking(snapshot)
    world.connect_all()
    return world


def ask(world: VirtualNetwork, node: str, sae: str, *others: str) -> None:
    world.take(ApplicationAsked(node=node, server_sae=sae, client_saes=others))
    world.quiet()


def test_an_sae_that_asks_is_learned_and_served_once_the_others_are_known() -> None:
    world = asking(line(2))
    ask(world, "n00", "alice", "bob")
    assert set(world.snapshot.saes) == {"alice"}
    assert not world.snapshot.relays
    ask(world, "n02", "bob", "alice")
    (relay,) = world.snapshot.relays.values()
    (application,) = world.snapshot.applications.values()
    assert set(application.saes) == {"alice", "bob"}
    assert (relay.state, relay.applications) == (RelayState.ACTIVE, (application.name,))
    before = world.snapshot
    ask(world, "n00", "alice", "bob")  # once more: it is served already
    assert world.snapshot.relays == before.relays
    ask(world, "n01", "alice", "bob")  # from where it is not
    assert world.snapshot.saes == before.saes
    assert world.snapshot.relays == before.relays


def test_several_applications_share_a_relay_that_was_made_so_and_several_far_nodes_get_one_each() -> None:
    world = asking(ring(4))
    for sae, node in (("a1", "n00"), ("a2", "n00"), ("b1", "n01"), ("b2", "n01"), ("c1", "n02")):
        world.ask(Create(document=Sae(id=sae, node=node)))
    ask(world, "n00", "a1", "b1")
    ask(world, "n01", "b2", "a2")
    (relay,) = world.snapshot.relays.values()
    assert len(relay.applications) == 2
    ask(world, "n00", "a1", "b1", "c1")
    assert len(world.snapshot.relays) == 2
    assert sorted(len(known.applications) for known in world.snapshot.relays.values()) == [1, 3]


def test_what_does_not_fit_or_is_too_much_is_an_alarm_and_changes_nothing_else() -> None:
    world = asking(line(2), max_relays=1)
    for sae, node in (("a", "n00"), ("b", "n01"), ("c", "n02")):
        world.ask(Create(document=Sae(id=sae, node=node)))
    ask(world, "n00", "a", "b")
    ask(world, "n00", "a", "c")
    assert kinds(world) == {"AUTO_RELAY_REFUSED"}
    assert len(world.snapshot.relays) == len(world.snapshot.applications) == 1
    world.delete(next(iter(world.snapshot.relays)))
    world.quiet()
    ask(world, "n00", "a", "c")
    assert not kinds(world)
    (relay,) = world.snapshot.relays.values()
    assert isinstance(relay, KeyRelay)
    world.ask(Delete(collection="relays", key=relay.name))


def test_what_one_sae_or_one_node_asks_for_fills_no_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auto_relay, "MAX_APPLICATIONS_OF_ONE", 5)
    monkeypatch.setattr(auto_relay, "MAX_LEARNED", 4)
    world = asking(line(2))
    for number in range(9):
        ask(world, "n02", f"b{number}", "a")
    assert len(world.snapshot.saes) == 4
    world.ask(Create(document=Sae(id="a", node="n00")))
    for count in (1, 2, 3):  # any set of slaves that one names is another application
        for slaves in itertools.combinations([f"b{number}" for number in range(4)], count):
            ask(world, "n00", "a", *slaves)
    assert len(world.snapshot.applications) == 5
    assert kinds(world) == {"AUTO_RELAY_REFUSED"}
    ask(world, "n02", "b2", "a", "b3")  # of another SAE's there is room
    assert len(world.snapshot.applications) == 6
