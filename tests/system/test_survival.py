"""What a network lives through: a killed controller, a crashed agent, a cut fibre; and its ledgers after that."""

from collections.abc import Iterator

import grpc
import pytest

from tests.support.daemons import Daemon, World, network
from tests.support.operator_calls import State, refusal, wait_until
from tests.support.topology_text import topology_yaml

RING = [("ab", "a", "b"), ("bc", "b", "c"), ("cd", "c", "d"), ("ad", "a", "d"), ("ab-2", "a", "b"), ("tail", "d", "e")]
WRITTEN = "configuration in force"

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A ring of four nodes with a second link between a and b, and a narrow tail from d to e."""
    text = topology_yaml("ring-4", RING, narrow_bit_per_s={"tail": 8000})
    with network(tmp_path_factory.mktemp("ring"), text) as running:
        yield running


def named(world: World, name: str) -> Daemon:
    """Return the running daemon of a name."""
    return next(daemon for daemon in reversed(world.running) if daemon.name == name)


def serve(ring: World, name: str, source: str, target: str, rate_bit_per_s: float = 100.0) -> None:
    """Register an application and create its relay, and return when that is acknowledged."""
    ring.application(name, (f"{name}.m", source), (f"{name}.s", target))
    ring.create(name, source, target, rate_bit_per_s, application=f"applications/{name}")


def kill_and_restart_controller(ring: World) -> None:
    named(ring, "controller").kill()
    ring.hang_up()
    ring.start_controller()


def test_what_was_acknowledged_survives_kill_9_of_the_controller(ring: World) -> None:
    serve(ring, "old", "a", "c")
    old = ring.active("old")["old"]
    ring.all_connected()
    term = ring.cluster().election_id.term
    before = ring.fetch("old.m", "old.s", 2)
    fresh = [f"fresh-{number}" for number in range(4)]
    for number, name in enumerate(fresh):
        serve(ring, name, "abcd"[number], "cdab"[number])
    kill_and_restart_controller(ring)
    assert {"old", *fresh} <= ring.all_relays().keys()
    assert ring.cluster().election_id.term > term
    ran = ring.active("old", *fresh)
    assert ran["old"].route_version == old.route_version
    assert ran["old"].routes == old.routes
    keys = before + [key for name in ("old", *fresh) for key in ring.fetch(f"{name}.m", f"{name}.s", 2)]
    assert len({key.key_id for key in keys}) == len({key.key for key in keys}) == len(keys)


def test_a_restarted_controller_tells_agents_nothing_that_they_know(ring: World) -> None:
    serve(ring, "known", "b", "d")
    ring.active("known")
    ring.all_connected()
    fleet = named(ring, "fleet")
    told, relay = fleet.said().count(WRITTEN), ring.relay("known")
    digests = {node: agent.confirmed_digest for node, agent in ring.agents().items()}
    kill_and_restart_controller(ring)
    ring.all_connected()
    ring.active("known")
    assert {node: agent.confirmed_digest for node, agent in ring.agents().items()} == digests
    assert fleet.said().count(WRITTEN) == told
    assert ring.relay("known").route_version == relay.route_version


def test_keys_are_delivered_while_no_controller_runs(ring: World) -> None:
    serve(ring, "alone", "a", "b")
    ring.active("alone")
    master, slave = ring.client("alone.m"), ring.client("alone.s")
    wait_until(lambda: master.status("alone.s")["stored_key_count"] >= 3, "stock")
    named(ring, "controller").kill()
    keys = master.get_keys("alone.s", 3, 256)
    assert slave.get_keys_with_ids("alone.m", [key.key_id for key in keys]) == keys
    ring.hang_up()
    ring.start_controller()
    ring.all_connected()


@pytest.mark.parametrize("role", ["transit", "end"])
def test_a_crashed_agent_moves_nothing_and_all_resumes_when_it_is_back(ring: World, role: str) -> None:
    name = f"crash-{role}"
    serve(ring, name, "a", "c")
    relay = ring.active(name)[name]
    (route,) = relay.routes
    node = route.hops[0].end_node.removeprefix("nodes/") if role == "transit" else "c"
    before = ring.fetch(f"{name}.m", f"{name}.s", 3)
    ring.crash(node)
    (degraded,) = ring.follow([name], lambda each: each.state == State.STATE_DEGRADED, "a DEGRADED relay").values()
    assert degraded.routes == relay.routes
    assert degraded.route_version == relay.route_version
    assert all(link.stale for link in ring.links().values() if f"nodes/{node}" in {end.node for end in link.ends})
    ring.restart(node)
    again = ring.active(name)[name]
    ring.all_connected()
    assert (again.routes, again.route_version) == (relay.routes, relay.route_version)
    assert not any(link.stale for link in ring.links().values())
    after = ring.fetch(f"{name}.m", f"{name}.s", 3)
    keys = before + after
    assert len({key.key_id for key in keys}) == len({key.key for key in keys}) == 6


def test_a_cut_without_detour_blocks_what_has_used_up_the_store_until_it_is_repaired(ring: World) -> None:
    # Its stock would take more than the tail has stored: the link is at its floor soon, and at the cut at once.
    serve(ring, "thirsty", "d", "e", 6000.0)
    relay = ring.active("thirsty")["thirsty"]
    ring.cut("tail")
    (blocked,) = ring.follow(["thirsty"], lambda each: each.state == State.STATE_BLOCKED, "a BLOCKED relay").values()
    assert "tail" in blocked.state_reason
    assert ring.links()["tail"].down_reason
    refused = refusal(lambda: ring.create("late", "d", "e", 1.0))
    assert (refused.code, refused.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "NO_ROUTE")
    ring.repair("tail")
    back = ring.active("thirsty")["thirsty"]
    assert back.route_version > relay.route_version
    ring.fetch("thirsty.m", "thirsty.s")


async def test_the_joined_ledgers_hold_after_traffic_a_cut_a_move_and_a_restart(ring: World) -> None:
    serve(ring, "moved", "a", "b")
    relay = ring.active("moved")["moved"]
    ring.fetch("moved.m", "moved.s", 3)
    (cut,) = [hop.link.removeprefix("links/") for hop in relay.routes[0].hops]
    ring.cut(cut)
    moved = ring.follow(
        ["moved"],
        lambda each: each.state == State.STATE_ACTIVE and each.route_version > relay.route_version,
        "the relay on another route",
    )["moved"]
    assert [hop.link for hop in moved.routes[0].hops] != [hop.link for hop in relay.routes[0].hops]
    ring.fetch("moved.m", "moved.s", 3)
    ring.fetch("moved.s", "moved.m", 3)
    ring.crash("b")
    ring.restart("b")
    ring.all_connected()
    ring.active("moved")
    ring.fetch("moved.m", "moved.s", 3)
    ring.repair(cut)
    assert named(ring, "fleet").stop() == 0
    try:
        assert await ring.audit() == []
    finally:
        ring.start_fleet()
        ring.all_connected()
