"""What entanglement paths live through beside key relays: killed repeaters, a killed controller, cut fibres, moves."""

import random
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from tests.chaos.path_moves import Mover
from tests.chaos.promises import at_rest, not_as_wanted, over_promised, settled
from tests.chaos.taped import PROGRAM, faults_of, longest_pause_s, tapes_of, whole_of
from tests.support.daemons import Daemon, World
from tests.support.operator_calls import State, refusal, wait_until

pytestmark = pytest.mark.timeout(120)

MIXED = Path(__file__).parents[2] / "topologies" / "mixed.yaml"
ENDS = "city-west", "city-east"
APART = "repeater-1"
WAYS = "repeater-1-repeater-2", "repeater-3-repeater-4"


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """QKD and entanglement in one network: a path over two repeaters, one of them apart, and a relay at once."""
    world = World(directory=tmp_path_factory.mktemp("mixed"), topology=MIXED, agent_program=PROGRAM)
    try:
        world.start_controller()
        world.start_fleet(APART)
        world.spawn_agent(APART, world.directory / "fleet" / APART)
        world.all_connected()
        world.application("mail", ("mail.m", "access-west"), ("mail.s", "access-east"))
        world.create("mail", "access-west", "access-east", application="applications/mail")
        world.create_path("pairs", *ENDS, rate_hz=40.0, fidelity=0.9)
        world.active("mail")
        rests(world)
        yield world
    finally:
        world.close()


def rests(world: World) -> None:
    wait_until(lambda: settled(world.path("pairs")), "the path to be at rest, ACTIVE")


def named(world: World, name: str) -> Daemon:
    return next(daemon for daemon in reversed(world.running) if daemon.name == name)


def more_at_both_ends(world: World) -> None:
    """Wait until both ends have had more pairs, and applications keys; what came is as it must be."""

    def pairs() -> int:
        return whole_of(tapes_of(world.directory / "fleet", ENDS), "pairs")[0]

    enough = pairs() + 20
    wait_until(lambda: pairs() >= enough, "pairs at both ends")
    world.fetch("mail.m", "mail.s")
    assert faults_of(tapes_of(world.directory / "fleet", (node.name for node in world.network.nodes))) == []
    assert over_promised(world) == []


def test_a_killed_repeater_begins_anew_on_the_route_that_it_was_on(mixed: World) -> None:
    path = mixed.path("pairs")
    assert APART in {hop.end_node.removeprefix("nodes/") for hop in path.route.hops}
    named(mixed, f"agent-{APART}").kill()
    mixed.spawn_agent(APART, mixed.directory / "fleet" / APART)
    mixed.all_connected()
    rests(mixed)
    more_at_both_ends(mixed)


def test_a_killed_controller_finds_its_paths_and_tells_nothing_anew(mixed: World) -> None:
    path = mixed.path("pairs")
    digests = {node: agent.confirmed_digest for node, agent in mixed.agents().items()}
    named(mixed, "controller").kill()
    before = whole_of(tapes_of(mixed.directory / "fleet", ENDS), "pairs")[0]
    wait_until(
        lambda: whole_of(tapes_of(mixed.directory / "fleet", ENDS), "pairs")[0] > before, "pairs without a controller"
    )
    mixed.hang_up()
    mixed.start_controller()
    mixed.all_connected()
    rests(mixed)
    again = mixed.path("pairs")
    assert (again.route_version, again.route, again.plan) == (path.route_version, path.route, path.plan)
    assert {node: agent.confirmed_digest for node, agent in mixed.agents().items()} == digests
    more_at_both_ends(mixed)


def test_pairs_flow_on_without_a_pause_while_a_path_moves(mixed: World) -> None:
    mover = Mover(mixed, random.Random(4), path="pairs")
    for number in range(5):
        mover.move(number)
    mover.settled()
    more_at_both_ends(mixed)
    tapes = tapes_of(mixed.directory / "fleet", ENDS)
    assert max(longest_pause_s(tapes[end], "pairs", *span) for end in ENDS for span in mover.planned) < 5.0
    assert max(longest_pause_s(tapes[end], "pairs", *span) for end in ENDS for span in mover.torn) < 10.0


def test_a_cut_moves_a_path_and_without_a_detour_blocks_it_until_the_repair(mixed: World) -> None:
    path = mixed.path("pairs")
    version, taken = path.route_version, {hop.link.removeprefix("links/") for hop in path.route.hops}
    used, other = WAYS if WAYS[0] in taken else WAYS[::-1]
    mixed.cut(used)
    wait_until(lambda: mixed.path("pairs").route_version > version, "the path to move")
    rests(mixed)
    more_at_both_ends(mixed)
    mixed.cut(other)
    wait_until(lambda: mixed.path("pairs").state == State.STATE_BLOCKED, "the path to be BLOCKED")
    wait_until(lambda: at_rest(mixed.path("pairs")), "the blocked path to be at rest")
    assert not mixed.path("pairs").reservations
    refused = refusal(lambda: mixed.create_path("late", *ENDS))
    assert (refused.code, refused.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "NO_ROUTE")
    assert not_as_wanted(mixed) == []
    for way in WAYS:
        mixed.repair(way)
    rests(mixed)
    more_at_both_ends(mixed)


def test_a_deleted_path_leaves_nothing_behind_and_the_relay_goes_on(mixed: World) -> None:
    def reserved() -> dict[str, int]:
        return {name: link.reserved_pairs for name, link in mixed.links().items()}

    before = reserved()
    mixed.create_path("brief", *ENDS, rate_hz=10.0, fidelity=0.9)
    wait_until(lambda: settled(mixed.path("brief")), "the second path to be at rest, ACTIVE")
    assert reserved() != before
    mixed.delete_path("brief")
    wait_until(lambda: "brief" not in {name.rpartition("/")[2] for name in mixed.all_paths()}, "the end of the path")
    assert reserved() == before
    assert not_as_wanted(mixed) == []
    mixed.fetch("mail.m", "mail.s")
