"""What the core makes of many services that fail at once: handed over together, within the turn, whatever apps do."""

from collections.abc import Iterator
from itertools import pairwise

from apps.restoration import Restoration
from controller.domain.commands import Command, MoveService
from controller.domain.events import AppEvent, ServicesImpaired
from controller.domain.snapshot import Snapshot
from controller.service.working import IMPAIRED_AT_FIRST, IMPAIRED_TOGETHER
from tests.support.networks import network
from tests.support.virtual_agents import VirtualNetwork

PARALLEL = [("ab", "a", "b", 10**6), ("ac", "a", "c", 10**5), ("bc", "b", "c", 10**5)]


class Watching:
    """Restoration, with what it is handed; where asked, it fails at a service, or asks the impossible for one."""

    listens_to = (ServicesImpaired,)

    def __init__(self, *, fails_at: str = "", asks_too_much_of: str = "") -> None:
        self.seen: list[tuple[str, ...]] = []
        self._fails_at = fails_at
        self._asks_too_much_of = asks_too_much_of

    def handle(self, event: AppEvent, snapshot: Snapshot) -> Iterator[Command]:
        assert isinstance(event, ServicesImpaired)
        self.seen.append(event.services)
        for command in Restoration().handle(event, snapshot):
            if command.service == self._fails_at:
                raise ValueError(self._fails_at)
            if command.service == self._asks_too_much_of and isinstance(command, MoveService):
                self._asks_too_much_of = ""
                yield MoveService(service=command.service, routes=(), because="no routes")
            else:
                yield command


def world_with(app: Watching, relays: int) -> VirtualNetwork:
    world = VirtualNetwork(network(PARALLEL), apps=[app])
    world.connect_all()
    for number in range(relays):
        world.create(f"r{number:03}", "a", "b", 1000, priority=number % 3)
    world.quiet()
    return world


def moved(world: VirtualNetwork) -> set[str]:
    return {name for name, relay in world.snapshot.relays.items() if relay.links() == {"ac", "bc"}}


def in_order(relays: int) -> list[str]:
    return [f"r{number:03}" for number in sorted(range(relays), key=lambda number: (-(number % 3), number))]


def test_what_a_cut_hits_is_handed_over_together_most_important_first_and_ever_more_while_there_is_time() -> None:
    app = Watching()
    sizes = [IMPAIRED_AT_FIRST]
    while sizes[-1] < IMPAIRED_TOGETHER:
        sizes.append(2 * sizes[-1])
    sizes.append(2)
    world = world_with(app, sum(sizes))
    world.cut("ab", at="a")
    while world.work():
        pass
    assert list(map(len, app.seen[: len(sizes)])) == sizes
    assert [key for keys in app.seen[: len(sizes)] for key in keys] == in_order(sum(sizes))
    world.check_promises()


def test_a_turn_that_took_long_enough_ends_amid_a_batch_and_the_rest_is_handed_over_again() -> None:
    app = Watching()
    world = world_with(app, 9)
    world.enough = lambda: True
    world.cut("ab", at="a")
    counts = []
    while world.work():
        counts.append(len(moved(world)))
        world.check_promises()
    assert {later - sooner for sooner, later in pairwise(counts)} <= {0, 1}
    order = in_order(9)
    assert moved(world) == set(order)
    # Some at first; then about as many as a turn carries out.
    few = [tuple(order[begin : begin + 4]) for begin in range(1, 8)]
    assert [keys for keys in app.seen if len(keys) > 1] == [tuple(order[:IMPAIRED_AT_FIRST]), *few]


def test_an_app_that_fails_at_one_service_still_serves_the_others() -> None:
    app = Watching(fails_at="r004")
    world = world_with(app, 9)
    world.cut("ab", at="a")
    while world.work():
        pass
    assert moved(world) == set(in_order(9)) - {"r004"}
    world.check_promises()


def test_after_a_command_that_does_not_hold_the_others_are_asked_for_again() -> None:
    app = Watching(asks_too_much_of="r002")
    world = world_with(app, 9)
    world.cut("ab", at="a")
    while world.work():
        pass
    assert moved(world) == set(in_order(9)) - {"r002"}
    assert app.seen[1][0] == in_order(9)[1]
