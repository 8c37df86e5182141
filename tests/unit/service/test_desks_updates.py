"""What an update of a key relay, or of an application, comes to: pure decisions."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from controller.domain.application import Application, Sae
from controller.domain.capacity import over_reserved, reserved_by
from controller.domain.etag import etag
from controller.domain.key_relay import Demand, KeyRelay, Phase, Protection, RelayState
from controller.domain.link import LinkCondition
from controller.domain.refusals import AlreadyExists, InvalidValue, NotFound, Precondition, Refusal
from controller.domain.snapshot import NO_CHANGES, Snapshot, put, put_condition
from controller.service.application_desk import create_application, update_application
from controller.service.relay_desk import create_relay
from controller.service.relay_update import redeploy_relay, update_relay
from controller.service.requests import RedeployRelay, UpdateApplication, UpdateRelay
from controller.service.topology_desk import delete_link
from tests.support.networks import network, ring
from tests.support.virtual_agents import VirtualNetwork

CALLER = "qinet://user/alice"
DEMAND = Demand(source="n00", target="n02", rate_millibit_per_s=100_000)
RELAY = KeyRelay(name="r", demand=DEMAND)


def settled(snapshot: Snapshot, relay: KeyRelay = RELAY, **more: Any) -> Snapshot:
    """Return the snapshot with the relay created, all nodes told, and keys flowing."""
    created = create_relay(snapshot, relay, version=7, caller=CALLER, now_ms=0, wall_ms=0).relay
    return snapshot.applying(
        put(
            replace(
                created,
                state=RelayState.ACTIVE,
                phase=Phase.SETTLED,
                ever_active=True,
                confirmed_by=created.origins,
                backup_installed=created.backup is not None,
                install_by_ms=None,
                **more,
            )
        )
    )


def updated(snapshot: Snapshot, **more: Any) -> KeyRelay:
    asked = UpdateRelay(relay="r", caller=CALLER, **more)
    return update_relay(snapshot, asked, version=9, now_ms=1000)


def over(snapshot: Snapshot, relay: KeyRelay) -> Mapping[str, int]:
    after = snapshot.applying(put(relay))
    return over_reserved(after.links, after.conditions, reserved_by(after.relays.values()))


# In place


@pytest.mark.parametrize(
    "change",
    [
        {"priority": 9},
        {"hold_off_ms": 500},
        {"manual": True},
        {"may_preempt": True},
        {"wait_to_restore_ms": 1},
        {"max_hops": 2},
        {"avoid_nodes": frozenset({"n03"})},
        {"pass_links": frozenset({"l00"})},
        {"protection": Protection.UNPROTECTED},
    ],
)
def test_what_the_routes_serve_already_changes_the_document_alone(change: dict[str, Any]) -> None:
    snapshot = settled(ring(4))
    relay = snapshot.relays["r"]
    after = updated(snapshot, demand=change)
    assert after == replace(relay, demand=replace(relay.demand, **change))
    assert etag(after) != etag(relay)


def test_an_update_to_the_same_values_changes_nothing() -> None:
    snapshot = settled(ring(4), replace(RELAY, demand=replace(DEMAND, priority=3)))
    same = {"rate_millibit_per_s": 100_000, "shares": 1, "priority": 3, "avoid_nodes": frozenset[str]()}
    assert updated(snapshot, demand=same, admin_enabled=True, applications=()) == snapshot.relays["r"]


def test_a_lifetime_restarts_when_the_update_names_it() -> None:
    snapshot = settled(ring(4), replace(RELAY, demand=replace(DEMAND, lifetime_s=60)))
    assert snapshot.relays["r"].expires_at_ms == 60_000
    assert updated(snapshot, demand={"lifetime_s": 60}).expires_at_ms == 61_000
    assert updated(snapshot, demand={"priority": 1}).expires_at_ms == 60_000
    assert updated(snapshot, demand={"lifetime_s": None}).expires_at_ms is None


@pytest.mark.parametrize(
    ("more", "change"),
    [
        ({"manual": True}, {"manual": False}),
        ({"protection": Protection.UNPROTECTED}, {"protection": Protection.RESTORE}),
        ({"hold_off_ms": 900_000}, {"hold_off_ms": 0}),
    ],
)
def test_a_relay_that_rides_out_a_cut_moves_once_what_kept_it_is_gone(
    more: dict[str, Any], change: dict[str, Any]
) -> None:
    world = VirtualNetwork(ring(4))
    world.connect_all()
    world.create("r", "n00", "n02", 1, **more)
    world.quiet()
    before = world.snapshot.relays["r"].routes
    world.cut(before[0].links[0])
    world.quiet()
    assert world.snapshot.relays["r"].routes == before
    world.ask(UpdateRelay(relay="r", demand=change, caller=CALLER))
    world.pass_time(10)
    world.quiet()
    relay = world.snapshot.relays["r"]
    assert (relay.state, relay.routes != before) == (RelayState.ACTIVE, True)


# Routes


@pytest.mark.parametrize(
    "change", [{"rate_millibit_per_s": 200_000}, {"rate_millibit_per_s": 50_000}, {"forward_share": 1.0}]
)
def test_what_nodes_are_told_with_a_route_comes_as_a_new_version_of_the_same_route(change: dict[str, Any]) -> None:
    snapshot = settled(ring(4))
    relay = snapshot.relays["r"]
    after = updated(snapshot, demand=change)
    assert (after.routes, after.route_version, after.phase) == (relay.routes, 9, Phase.INSTALLING)
    assert [(old.version, old.in_use, old.routes) for old in after.retiring] == [(7, True, relay.routes)]
    assert after.ever_active
    assert not over(snapshot, after)


def test_a_wish_that_the_route_breaks_moves_the_relay_make_before_break() -> None:
    snapshot = settled(ring(4))
    after = updated(snapshot, demand={"avoid_links": frozenset({"l00"})})
    assert after.routes[0].links == ("l03", "l02")
    assert after.retiring[0].in_use
    assert after.state_reason == "updated by user/alice"


def test_more_shares_come_all_at_once() -> None:
    snapshot = settled(ring(4))
    after = updated(snapshot, demand={"shares": 2})
    assert {route.links for route in after.routes} == {("l00", "l01"), ("l03", "l02")}
    fewer = updated(snapshot.applying(put(replace(after, retiring=(), phase=Phase.SETTLED))), demand={"shares": 1})
    assert len(fewer.routes) == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"rate_millibit_per_s": 10**10}, "NO_CAPACITY"),
        ({"max_hops": 1}, "NO_ROUTE"),
        ({"shares": 3}, "NO_DISJOINT_ROUTES"),
        ({"shares": 2, "protection": Protection.ONE_FOR_ONE}, "NO_DISJOINT_ROUTES"),
        ({"avoid_nodes": frozenset({"n00"})}, "INVALID_VALUE"),
        ({"forward_share": 2.0}, "INVALID_VALUE"),
        ({"avoid_nodes": frozenset({"nowhere"})}, "NOT_FOUND"),
    ],
)
def test_what_cannot_be_is_refused_as_a_whole(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(Refusal) as refusal:
        updated(settled(ring(4)), demand={"priority": 5, **change})
    assert refusal.value.reason == reason


def test_a_rate_may_fall_on_a_link_that_is_too_weak_for_both_and_even_on_one_that_is_down() -> None:
    snapshot = settled(ring(4))
    weak = snapshot.applying(
        put_condition("l00", LinkCondition(promised_skr_millibit_per_s=60_000))
        + put_condition("l01", LinkCondition(down_at=frozenset({"n01"})))
        + put_condition("l02", LinkCondition(down_at=frozenset({"n03"})))
    )
    after = updated(weak, demand={"rate_millibit_per_s": 20_000})
    assert after.routes == snapshot.relays["r"].routes
    with pytest.raises(Precondition):
        updated(weak, demand={"rate_millibit_per_s": 110_000})


# Protection


def test_a_backup_is_put_beside_the_routes_in_use_and_given_up_again() -> None:
    snapshot = settled(ring(4))
    relay = snapshot.relays["r"]
    after = updated(snapshot, demand={"protection": Protection.ONE_FOR_ONE})
    assert (after.routes, after.route_version, after.phase) == (relay.routes, 7, Phase.SETTLED)
    assert after.backup is not None
    assert after.backup.routes[0].links == ("l03", "l02")
    assert not after.backup_installed
    assert not over(snapshot, after)

    protected = snapshot.applying(put(replace(after, backup_installed=True)))
    doubled = updated(protected, demand={"protection": Protection.ONE_PLUS_ONE})
    assert doubled == replace(protected.relays["r"], demand=doubled.demand)
    bare = updated(protected, demand={"protection": Protection.RESTORE})
    assert (bare.backup, bare.route_version) == (None, 7)
    assert {held.link for held in bare.releasing} == {"l02", "l03"}


def test_a_rate_takes_the_backup_along() -> None:
    snapshot = settled(ring(4), replace(RELAY, demand=replace(DEMAND, protection=Protection.ONE_FOR_ONE)))
    relay = snapshot.relays["r"]
    assert relay.backup is not None
    after = updated(snapshot, demand={"rate_millibit_per_s": 200_000})
    assert after.backup is not None
    assert (after.routes, after.backup.routes) == (relay.routes, relay.backup.routes)
    assert after.backup.charge_millibit_per_s > relay.backup.charge_millibit_per_s
    assert not over(snapshot, after)


def test_a_relay_without_room_for_a_backup_is_not_created_as_protected() -> None:
    with pytest.raises(Precondition) as refusal:
        settled(ring(4), replace(RELAY, demand=replace(DEMAND, shares=2, protection=Protection.ONE_FOR_ONE)))
    assert refusal.value.reason == "NO_DISJOINT_ROUTES"


# On, off, blocked, removed


def test_a_relay_is_switched_off_and_on() -> None:
    snapshot = settled(ring(4))
    off = updated(snapshot, admin_enabled=False)
    assert (off.state, off.routes, off.state_reason) == (RelayState.BLOCKED, (), "disabled by user/alice")
    assert off.ever_active
    idle = snapshot.applying(put(replace(off, releasing=())))
    assert updated(idle, demand={"priority": 4}) == replace(idle.relays["r"], demand=replace(DEMAND, priority=4))
    on = updated(idle, admin_enabled=True)
    assert (on.phase, len(on.routes)) == (Phase.INSTALLING, 1)
    dark = idle.applying(put(*(replace(link, admin_enabled=False) for link in idle.links.values())))
    with pytest.raises(Precondition):
        updated(dark, admin_enabled=True)
    waits = updated(dark, admin_enabled=True, accept_blocked=True)
    assert (waits.state, waits.admin_enabled, waits.accept_blocked) == (RelayState.BLOCKED, True, True)


def test_an_update_of_a_blocked_relay_retries_it() -> None:
    dark = ring(4)
    dark = dark.applying(put(*(replace(link, maintenance=True) for link in dark.links.values())))
    snapshot = dark.applying(
        put(create_relay(dark, replace(RELAY, accept_blocked=True), version=7, caller="", now_ms=0, wall_ms=0).relay)
    )
    assert snapshot.relays["r"].state is RelayState.BLOCKED
    bright = snapshot.applying(put(*ring(4).links.values()))
    assert updated(bright, demand={"priority": 1}).routes


def test_what_is_going_or_gone_or_changed_since_is_not_updated() -> None:
    snapshot = settled(ring(4))
    with pytest.raises(NotFound):
        updated(ring(4))
    with pytest.raises(Precondition) as stale:
        updated(snapshot, etag="old")
    assert stale.value.reason == "STALE_ETAG"
    going = snapshot.applying(put(replace(snapshot.relays["r"], state=RelayState.REMOVING)))
    for decide in (updated, redeployed):
        with pytest.raises(Precondition) as removing:
            decide(going)
        assert removing.value.reason == "REMOVING"


def test_names_that_went_since_they_were_given_do_not_stand_in_the_way() -> None:
    snapshot = settled(ring(4))
    relay = snapshot.relays["r"]
    stale = snapshot.applying(put(replace(relay, demand=replace(DEMAND, avoid_nodes=frozenset({"gone"})))))
    assert updated(stale, demand={"priority": 2}).demand.priority == 2


# Redeployment


def redeployed(snapshot: Snapshot) -> KeyRelay:
    return redeploy_relay(snapshot, RedeployRelay(relay="r", caller=CALLER), version=9, now_ms=1000)


def test_a_redeployed_relay_goes_to_the_best_routes_also_when_it_has_them() -> None:
    snapshot = settled(ring(4), replace(RELAY, demand=replace(DEMAND, manual=True)))
    again = redeployed(snapshot)
    assert (again.routes, again.route_version) == (snapshot.relays["r"].routes, 9)
    assert again.state_reason == "redeployed by user/alice: its routes are the best, and are told anew"
    down = snapshot.applying(put_condition("l00", LinkCondition(down_at=frozenset({"n00"}))))
    moved = redeployed(down)
    assert moved.routes[0].links == ("l03", "l02")
    assert moved.state_reason == "redeployed by user/alice"


def test_a_redeployment_that_finds_nothing_is_refused() -> None:
    snapshot = settled(network([("a", "n00", "n01", 1000), ("b", "n01", "n02", 1000)]))
    cut = snapshot.applying(put_condition("a", LinkCondition(down_at=frozenset({"n00"}))))
    with pytest.raises(Precondition) as refusal:
        redeployed(cut)
    assert refusal.value.reason == "NO_ROUTE"
    off = snapshot.applying(put(replace(snapshot.relays["r"], admin_enabled=False, routes=())))
    with pytest.raises(Precondition) as disabled:
        redeployed(off)
    assert disabled.value.reason == "DISABLED"


def test_a_redeployed_protected_relay_runs_without_a_backup_where_none_fits() -> None:
    snapshot = settled(ring(4), replace(RELAY, demand=replace(DEMAND, protection=Protection.ONE_FOR_ONE)))
    down = snapshot.applying(put_condition("l00", LinkCondition(down_at=frozenset({"n00"}))))
    moved = redeployed(down)
    assert moved.routes[0].links == ("l03", "l02")
    assert moved.backup is None
    assert "without a backup" in moved.state_reason


# Applications


def served() -> Snapshot:
    """Return a ring with an application of SAEs at three nodes, and a relay to one of them."""
    saes = [Sae(id=f"s{node}", node=f"n{node:02}") for node in range(4)]
    app = Application(name="app", server_sae="s0", client_saes=("s1", "s2"))
    snapshot = ring(4).applying(put(*saes, Sae(id="beside", node="n02"), Sae(id="near", node="n00"), app))
    return settled(snapshot, replace(RELAY, applications=("app",)))


def app_updated(snapshot: Snapshot, **more: Any) -> Application:
    changes = update_application(snapshot, UpdateApplication(application="app", **more))
    found = snapshot.applying(changes).applications["app"]
    assert isinstance(found, Application)
    return found


def test_an_application_has_clients_at_several_nodes_but_none_at_its_servers() -> None:
    snapshot = served()
    wide = Application(name="wide", server_sae="s0", client_saes=("s3", "s2", "beside"))
    assert create_application(snapshot, wide) == put(wide)
    with pytest.raises(Precondition, match="saes/near and saes/s0 are at nodes/n00") as refusal:
        create_application(snapshot, replace(wide, client_saes=("s3", "near")))
    assert refusal.value.reason == "SAME_NODE"


def test_an_application_is_updated_in_place() -> None:
    snapshot = served()
    after = app_updated(snapshot, qos={"ttl_s": 5}, key_size_bit=512, client_saes=("s2", "s3"))
    assert (after.qos.ttl_s, after.key_size_bit, after.client_saes) == (5, 512, ("s2", "s3"))
    same = UpdateApplication(application="app", key_size_bit=256, client_saes=("s1", "s2"))
    assert update_application(snapshot, same) == NO_CHANGES


@pytest.mark.parametrize(
    ("change", "kind", "reason"),
    [
        ({"client_saes": ("s1",)}, Precondition, "IN_USE"),
        ({"client_saes": ("s2", "near")}, Precondition, "SAME_NODE"),
        ({"client_saes": ("s2", "nobody")}, Precondition, "UNKNOWN_SAE"),
        ({"client_saes": ()}, InvalidValue, "INVALID_VALUE"),
        ({"key_size_bit": 7}, InvalidValue, "INVALID_VALUE"),
        ({"qos": {"ttl_s": 0}}, InvalidValue, "INVALID_VALUE"),
        ({"etag": "old"}, Precondition, "STALE_ETAG"),
    ],
)
def test_what_an_application_cannot_become_is_refused(change: dict[str, Any], kind: type[Refusal], reason: str) -> None:
    with pytest.raises(kind) as refusal:
        app_updated(served(), **change)
    assert refusal.value.reason == reason


def test_an_application_does_not_become_the_twin_of_another() -> None:
    snapshot = served().applying(put(Application(name="twin", server_sae="s2", client_saes=("s0",))))
    with pytest.raises(AlreadyExists):
        app_updated(snapshot, client_saes=("s2",))
    with pytest.raises(NotFound):
        update_application(ring(4), UpdateApplication(application="app"))


def test_a_relay_takes_on_applications_and_lets_them_go() -> None:
    snapshot = served()
    assert updated(snapshot, applications=()).applications == ()
    more = snapshot.applying(put(Application(name="more", server_sae="s2", client_saes=("near",))))
    assert updated(more, applications=("app", "more")).applications == ("app", "more")
    with pytest.raises(NotFound):
        updated(snapshot, applications=("app", "none"))


def test_links_that_a_relay_is_leaving_or_keeps_as_its_backup_are_in_use() -> None:
    snapshot = settled(ring(4), replace(RELAY, demand=replace(DEMAND, protection=Protection.ONE_FOR_ONE)))
    with pytest.raises(Precondition, match="keyRelays/r"):
        delete_link(snapshot, "l03")
    plain = settled(ring(4))
    moving = plain.applying(put(updated(plain, demand={"avoid_links": frozenset({"l00"})})))
    with pytest.raises(Precondition, match="keyRelays/r"):
        delete_link(moving, "l00")


def test_a_protected_relay_that_may_wait_runs_without_its_backup_meanwhile() -> None:
    wanted = replace(RELAY, demand=replace(DEMAND, shares=2, protection=Protection.ONE_FOR_ONE), accept_blocked=True)
    relay = create_relay(ring(4), wanted, version=7, caller=CALLER, now_ms=0, wall_ms=0).relay
    assert (len(relay.routes), relay.backup, relay.state) == (2, None, RelayState.PENDING)
