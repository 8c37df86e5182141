"""What restoration decides of several services at once, and of links that share a duct with one that is down."""

from dataclasses import replace

from apps.restoration import Restoration
from controller.domain.commands import BlockService, Command, HoldOff, MoveService, RideOnStore, SwitchService
from controller.domain.events import ServicesImpaired
from controller.domain.key_relay import KeyRelay, Phase, Protection, RelayState
from controller.domain.route import Route
from controller.domain.route_sets import new_set
from controller.domain.snapshot import Snapshot
from tests.unit.routing.networks import CHARGE, demand, down, link, network

EAST = frozenset({"east"})
P1, P2, P3 = (Route(nodes=("a", "b"), links=(name,)) for name in ("p1", "p2", "p3"))


def relay(name: str, route: Route = P1, **asked: object) -> KeyRelay:
    return KeyRelay(
        name=name,
        demand=demand("a", "b", **asked),
        routes=(route,),
        route_version=1,
        phase=Phase.SETTLED,
        state=RelayState.ACTIVE,
    )


def backed(name: str, backup: Route) -> KeyRelay:
    one = relay(name, protection=Protection.ONE_FOR_ONE)
    return replace(one, backup=new_set(one.demand, (backup,), 2), backup_installed=True)


def restored(snapshot: Snapshot) -> list[Command]:
    keys = tuple(sorted(snapshot.relays, key=lambda key: (-snapshot.relays[key].demand.priority, key)))
    return list(Restoration().handle(ServicesImpaired(services=keys), snapshot))


def parallel(*relays: KeyRelay, p2: int = 10 * CHARGE, p3: int = 10 * CHARGE) -> Snapshot:
    """Three links, of which p1 is down and p2 in its duct."""
    return network(
        link("p1", "a", "b", ducts=EAST),
        link("p2", "a", "b", p2, ducts=EAST),
        link("p3", "a", "b", p3),
        relays=relays,
        conditions={"p1": down("cut")},
    )


def test_of_several_at_once_none_counts_on_room_that_another_was_given() -> None:
    relays = [relay(f"r{number}", priority=number) for number in range(4)]
    moved = restored(parallel(*relays, p2=CHARGE, p3=2 * CHARGE))
    assert [command.service for command in moved] == ["r3", "r2", "r1", "r0"]
    assert [command.routes for command in moved[:3] if isinstance(command, MoveService)] == [(P3,), (P3,), (P2,)]
    assert isinstance(moved[3], RideOnStore)
    assert "no detour" in moved[3].because


def test_several_at_once_get_what_each_gets_when_it_is_asked_in_its_turn() -> None:
    relays = [
        relay("a", priority=5),
        relay("b", hold_off_ms=10),
        relay("c", manual=True),
        relay("d", protection=Protection.UNPROTECTED),
        backed("e", P3),
        relay("f"),
    ]
    together = restored(parallel(*relays))
    assert [type(command) for command in together] == [
        MoveService,
        HoldOff,
        RideOnStore,
        RideOnStore,
        SwitchService,
        MoveService,
    ]
    alone = [
        command
        for one in sorted(relays, key=lambda one: (-one.demand.priority, one.key))
        for command in Restoration().handle(ServicesImpaired(services=(one.key,)), parallel(*relays))
    ]
    assert together == alone


def test_a_link_in_the_duct_of_one_that_is_down_is_taken_only_where_there_is_no_other_way() -> None:
    roomier = parallel(relay("one"), p2=10 * CHARGE, p3=CHARGE)
    (moved,) = restored(roomier)
    assert isinstance(moved, MoveService)
    assert moved.routes == (P3,)
    (moved,) = restored(parallel(relay("one"), p3=0))
    assert isinstance(moved, MoveService)
    assert moved.routes == (P2,)


def test_a_backup_in_the_duct_that_was_cut_is_switched_to_only_where_there_is_no_place_off_it() -> None:
    (moved,) = restored(parallel(backed("one", P2)))
    assert isinstance(moved, MoveService)
    assert moved.routes == (P3,)
    assert [type(command) for command in restored(parallel(backed("one", P2), p3=0))] == [SwitchService]
    assert [type(command) for command in restored(parallel(backed("one", P3)))] == [SwitchService]


def test_what_has_no_stored_key_and_fits_nowhere_is_blocked_in_the_midst_of_a_batch() -> None:
    snapshot = parallel(relay("a", max_hops=1, avoid_links=frozenset({"p2", "p3"})), relay("b"))
    snapshot = replace(snapshot, conditions={"p1": down("cut", exhausted=True)})
    blocked, moved = restored(snapshot)
    assert isinstance(blocked, BlockService)
    assert isinstance(moved, MoveService)
    assert (blocked.service, moved.service, moved.routes) == ("a", "b", (P3,))
