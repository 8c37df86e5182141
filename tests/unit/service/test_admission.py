"""Policies at work in the core: who gets which route, who is priced out, and what a price never touches."""

from dataclasses import replace
from typing import Any

import pytest

from controller.domain.admission import Admission, Policy
from controller.domain.application import Sae
from controller.domain.auto_relay import AutoRelay
from controller.domain.capacity import over_reserved, reserved_by
from controller.domain.events import ApplicationAsked
from controller.domain.key_relay import Demand, KeyRelay, RelayState
from controller.domain.refusals import Precondition
from controller.domain.snapshot import Snapshot
from controller.service.core import Core
from controller.service.requests import Create
from controller.service.writer import check_storable
from controller.wire.entries import entry_to_bytes
from tests.support.networks import network
from tests.support.virtual_agents import VirtualNetwork

RATE = 4_000
"""Bit/s: two fit on a link of the triangle, three do not."""


def triangle(policy: Policy, *, longest: int | None = None, bit_per_s: int = 10_000) -> Snapshot:
    """Return a and b joined directly, and by way of c."""
    links = (("ab", "a", "b", bit_per_s), ("ac", "a", "c", bit_per_s), ("bc", "b", "c", bit_per_s))
    return replace(network(links), admission=Admission(policy=policy, longest_route=longest))


def running(snapshot: Snapshot) -> VirtualNetwork:
    world = VirtualNetwork(snapshot)
    world.connect_all()
    return world


def created(world: VirtualNetwork, name: str, *, accept_blocked: bool = False, **more: Any) -> KeyRelay:
    demand = replace(Demand(source="a", target="b", rate_millibit_per_s=RATE * 1000), **more)
    relay = KeyRelay(name=name, demand=demand, accept_blocked=accept_blocked)
    made = world.ask(Create(caller="qinet://user/test", document=relay)).document
    assert isinstance(made, KeyRelay)
    held = reserved_by(world.snapshot.relays.values())
    assert not over_reserved(world.snapshot.links, world.snapshot.conditions, held)
    return made


DIRECT, DETOUR, REFUSED = ("ab",), ("ac", "bc"), "NO_CAPACITY"


@pytest.mark.parametrize(
    ("policy", "ways"),
    [
        (Policy.SHORTEST, [DIRECT, DIRECT, REFUSED, REFUSED, REFUSED]),
        (Policy.WIDEST_SHORTEST, [DIRECT, DIRECT, DETOUR, DETOUR, REFUSED]),
        (Policy.LEAST_LOADED, [DIRECT, DIRECT, DETOUR, DETOUR, REFUSED]),
        (Policy.BALANCED, [DIRECT, DETOUR, DIRECT, DETOUR, REFUSED]),
        (Policy.EXPONENTIAL, [DIRECT, DETOUR, DIRECT, "PRICED_OUT", "PRICED_OUT"]),
    ],
)
def test_relays_get_the_routes_of_the_policy(policy: Policy, ways: list[tuple[str, ...] | str]) -> None:
    world = running(triangle(policy))
    for number, way in enumerate(ways):
        if isinstance(way, str):
            with pytest.raises(Precondition) as refusal:
                created(world, f"r{number}")
            assert refusal.value.reason == way
            assert f"r{number}" not in world.snapshot.relays
        else:
            assert created(world, f"r{number}").routes[0].links == way
    world.quiet()
    world.check_quiet()


def test_one_that_is_priced_out_and_may_wait_runs_when_its_price_has_fallen() -> None:
    world = running(triangle(Policy.EXPONENTIAL))
    for name in ("r1", "r2", "r3"):
        created(world, name)
    world.quiet()
    assert "costs" in created(world, "late", accept_blocked=True).state_reason
    world.quiet()
    assert not world.snapshot.relays["late"].routes
    world.delete("r1")
    world.quiet()
    assert world.snapshot.relays["late"].state is RelayState.ACTIVE
    world.check_quiet()


def test_one_that_may_preempt_pays_for_nothing_that_less_important_ones_hold() -> None:
    world = running(triangle(Policy.EXPONENTIAL))
    for number, name in enumerate(("r1", "r2", "r3")):
        created(world, name, priority=number)
    world.quiet()
    with pytest.raises(Precondition, match="costs"):
        created(world, "late", priority=0, may_preempt=True)
    urgent = created(world, "urgent", priority=9, may_preempt=True)
    assert urgent.routes
    world.quiet()
    assert {relay.state for relay in world.snapshot.relays.values()} == {RelayState.ACTIVE}


def test_nobody_leaves_to_lower_a_price() -> None:
    world = running(triangle(Policy.EXPONENTIAL, longest=1))
    created(world, "small", priority=1, rate_millibit_per_s=1_000_000)
    world.quiet()
    before = world.snapshot.relays["small"]
    with pytest.raises(Precondition, match="longest_route"):
        created(world, "urgent", priority=9, may_preempt=True, avoid_links=frozenset({"ab"}))
    assert world.snapshot.relays["small"] == before


def test_what_was_admitted_moves_whatever_it_costs() -> None:
    world = running(triangle(Policy.EXPONENTIAL, longest=1))
    created(world, "r")
    world.quiet()
    world.cut("ab")
    world.quiet()
    moved = world.snapshot.relays["r"]
    assert (moved.state, moved.routes[0].links) == (RelayState.ACTIVE, DETOUR)


def test_what_waits_goes_on_where_it_ran_before_whatever_it_costs() -> None:
    world = running(triangle(Policy.EXPONENTIAL, longest=1))
    created(world, "r")
    world.quiet()
    for link in ("ab", "ac"):
        world.cut(link)
        world.exhaust(link)
    world.quiet()
    assert world.snapshot.relays["r"].state is RelayState.BLOCKED
    world.repair("ac")
    world.quiet()
    assert world.snapshot.relays["r"].routes[0].links == DETOUR


def test_relays_made_for_who_asks_obey_the_policy_too() -> None:
    class Asking(VirtualNetwork):
        def _core_on(self, snapshot: Snapshot) -> Core:
            made = AutoRelay(rate_millibit_per_s=RATE * 1000)
            return Core(snapshot, self._apps, entry_to_bytes, check_storable, made)

    saes = {sae: Sae(id=sae, node=node) for sae, node in (("x", "a"), ("y", "b"))}
    world = Asking(replace(triangle(Policy.BALANCED), saes=saes))
    world.connect_all()
    created(world, "r")
    world.take(ApplicationAsked(node="a", server_sae="x", client_saes=("y",)))
    world.quiet()
    (auto,) = (relay for name, relay in world.snapshot.relays.items() if name != "r")
    assert auto.routes[0].links == DETOUR
