"""What the core decides, among virtual agents."""

from dataclasses import replace

import pytest

from controller.domain.key_relay import Demand, KeyRelay, Phase, Protection, RelayState
from controller.domain.link import LinkCondition
from controller.domain.refusals import AlreadyExists, Precondition
from controller.domain.snapshot import Snapshot
from controller.service.requests import Create, Delete
from controller.service.standing import with_state
from tests.support.networks import line, network, ring
from tests.support.virtual_agents import VirtualNetwork


def up(snapshot: Snapshot) -> VirtualNetwork:
    world = VirtualNetwork(snapshot)
    world.connect_all()
    return world


def test_a_relay_becomes_active_when_all_nodes_and_both_ends_have_confirmed() -> None:
    world = up(line(3))
    assert world.create("r", "n00", "n03").state is RelayState.PENDING

    world.quiet()

    relay = world.snapshot.relays["r"]
    assert (relay.state, relay.phase) == (RelayState.ACTIVE, Phase.SETTLED)
    assert world.core.unconfirmed() == {}
    world.check_quiet()


def test_the_head_end_is_told_only_after_every_other_node_confirmed() -> None:
    world = up(line(2))
    world.create("r", "n00", "n02")
    for node in ("n00", "n02"):
        while world.step(node):
            pass
    assert "r" not in world.told("n00")
    while world.step("n01"):
        pass
    while world.step("n00"):
        pass
    assert "r" in world.told("n00")


def test_a_cut_moves_the_relay_and_leaves_the_old_route_once_the_new_one_is_in_use() -> None:
    world = up(ring(4))
    world.create("r", "n00", "n02")
    world.quiet()
    old = world.snapshot.relays["r"]

    world.cut(old.routes[0].links[0])

    relay = world.snapshot.relays["r"]
    assert (relay.state, relay.phase) == (RelayState.RESTORING, Phase.INSTALLING)
    assert [(left.version, left.in_use) for left in relay.retiring] == [(old.route_version, True)]
    assert relay.route_version > old.route_version
    assert set(relay.routes[0].links).isdisjoint(old.routes[0].links)
    world.quiet()
    assert world.snapshot.relays["r"].state is RelayState.ACTIVE
    assert world.snapshot.relays["r"].releasing == ()


def test_without_a_detour_it_rides_on_stored_key_is_blocked_at_the_floor_and_comes_back() -> None:
    world = up(line(2))
    world.create("r", "n00", "n02")
    world.quiet()

    world.cut("l01")
    assert world.snapshot.relays["r"].state is RelayState.ACTIVE
    assert "rides on the stored key of links/l01" in world.snapshot.relays["r"].state_reason

    world.exhaust("l01")
    world.quiet()
    relay = world.snapshot.relays["r"]
    assert relay.state is RelayState.BLOCKED
    assert "links/l01" in relay.state_reason
    assert ("", "keyRelays/r", "RELAY_BLOCKED") in world.snapshot.alarms

    world.repair("l01")
    world.quiet()
    assert world.snapshot.relays["r"].state is RelayState.ACTIVE
    assert not world.snapshot.alarms


def test_a_relay_that_lacks_key_names_the_link_that_is_down() -> None:
    world = up(line(2))
    world.create("r", "n00", "n02")
    world.quiet()
    snapshot = world.snapshot
    starved = replace(snapshot.relays["r"], starved_at=frozenset({"n00"}))
    link = starved.routes[0].links[0]
    present = frozenset(snapshot.nodes)
    assert (
        with_state(starved, snapshot, present=present, told=True).state_reason == "less key than promised at nodes/n00"
    )
    dry = LinkCondition(down_at=frozenset({"n00"}), exhausted=True)
    cut = replace(snapshot, conditions={**snapshot.conditions, link: dry})
    found = with_state(starved, cut, present=present, told=True)
    assert found.state is RelayState.DEGRADED
    assert f"links/{link} is down and its stored key is used up" in found.state_reason


def test_hold_off_rides_out_a_short_cut_and_moves_after_a_long_one() -> None:
    world = up(ring(4))
    world.create("r", "n00", "n02", hold_off_ms=1000)
    world.quiet()
    first = world.snapshot.relays["r"].routes

    world.cut(first[0].links[0])
    world.pass_time(500)
    world.repair(first[0].links[0])
    world.pass_time(5000)
    world.quiet()
    assert world.snapshot.relays["r"].routes == first

    world.cut(first[0].links[0])
    world.pass_time(999)
    assert world.snapshot.relays["r"].routes == first
    world.pass_time(1)
    assert world.snapshot.relays["r"].routes != first


def test_a_reservation_is_held_until_one_end_of_the_link_confirmed_its_removal() -> None:
    world = up(line(1, bit_per_s=2000))
    world.create("a", "n00", "n01", bit_per_s=1500)
    world.quiet()
    world.delete("a")
    with pytest.raises(Precondition, match="links/l00"):
        world.create("b", "n00", "n01", bit_per_s=1500)
    world.step("n01")
    world.step("n01")
    world.create("b", "n00", "n01", bit_per_s=1500)
    assert "a" not in world.snapshot.relays


def test_an_update_under_way_keeps_a_deleted_relays_reservation() -> None:
    # given updates with the relay's hops that are not acknowledged yet
    world = up(line(2, bit_per_s=2000))
    world.create("a", "n00", "n02", bit_per_s=1500)
    world.step("n01")
    world.step("n02")
    # when the relay is deleted
    world.delete("a")
    # then what may still arrive is still reserved; the link to the head end, which was told nothing, is not
    assert set(world.core.reserved()) == {"l01"}
    world.step("n01")
    world.step("n02")
    assert "a" in world.told("n01")
    assert set(world.core.reserved()) == {"l01"}
    world.quiet()
    assert world.core.reserved() == {}


def test_a_crashed_agent_moves_nothing() -> None:
    world = up(ring(4))
    world.create("r", "n00", "n02")
    world.quiet()
    before = world.snapshot.relays["r"]

    world.lose(before.routes[0].nodes[1])
    world.quiet()

    after = world.snapshot.relays["r"]
    assert (after.routes, after.state) == (before.routes, RelayState.DEGRADED)
    world.connect_all()
    assert world.snapshot.relays["r"].state is RelayState.ACTIVE


def test_several_shares_are_refused_naming_the_bottleneck() -> None:
    star = up(network([("ab", "a", "hub", 10_000), ("bc", "b", "hub", 10_000), ("cc", "b", "hub", 10_000)]))
    with pytest.raises(Precondition, match="nodes/hub") as refusal:
        star.create("r", "a", "b", shares=2)
    assert refusal.value.reason == "NO_DISJOINT_ROUTES"


def test_a_request_id_never_creates_twice() -> None:
    world = up(line(1))
    demand = Demand(source="n00", target="n01", rate_millibit_per_s=1000)
    request = Create(caller="u", request_id="1", body_sha256="x", document=KeyRelay(name="r", demand=demand))
    world.ask(request)
    assert world.ask(request).document == world.snapshot.relays["r"]
    with pytest.raises(AlreadyExists, match="another body"):
        world.ask(Create(caller="u", request_id="1", body_sha256="y", document=KeyRelay(name="r2", demand=demand)))
    world.quiet()
    world.delete("r")
    world.quiet()
    with pytest.raises(Precondition) as refusal:
        world.ask(request)
    assert refusal.value.reason == "ALREADY_DELETED"
    assert "r" not in world.snapshot.relays


def test_validate_only_decides_and_changes_nothing() -> None:
    world = up(line(2))
    before = world.snapshot
    demand = Demand(source="n00", target="n02", rate_millibit_per_s=1000)
    answer = world.ask(Create(validate_only=True, document=KeyRelay(name="r", demand=demand)))
    assert isinstance(answer.document, KeyRelay)
    assert answer.document.routes
    assert world.snapshot == before


def test_a_lifetime_is_ended_by_the_controller() -> None:
    world = up(line(1))
    world.create("r", "n00", "n01", lifetime_s=10)
    world.quiet()
    world.pass_time(9_999)
    assert not world.snapshot.relays["r"].removed
    world.pass_time(1)
    world.quiet()
    assert "r" not in world.snapshot.relays
    assert world.hops("n00") == {}


def test_a_stale_etag_deletes_nothing() -> None:
    world = up(line(1))
    world.create("r", "n00", "n01")
    with pytest.raises(Precondition) as refusal:
        world.ask(Delete(collection="relays", key="r", etag="0"))
    assert refusal.value.reason == "STALE_ETAG"
    assert not world.snapshot.relays["r"].removed


def test_a_deletion_tells_by_whom_in_the_words_of_every_other_reason() -> None:
    world = up(line(1))
    world.create("r", "n00", "n01")
    world.ask(Delete(collection="relays", key="r", caller="qinet://user/alice"))
    assert world.snapshot.histories["r"].changes[-1].reason == "deleted by user/alice"


def test_an_unprotected_relay_does_not_move() -> None:
    world = up(ring(4))
    world.create("r", "n00", "n02", protection=Protection.UNPROTECTED)
    world.quiet()
    routes = world.snapshot.relays["r"].routes
    world.cut(routes[0].links[0])
    world.exhaust(routes[0].links[0])
    assert world.snapshot.relays["r"].state is RelayState.BLOCKED
