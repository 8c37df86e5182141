"""Applications on one relay share its stock: none takes more than its max_bandwidth, whatever the others leave."""

from copy import deepcopy
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from southbound.agent.keyplane.bandwidth import BURST_S, TokenBucket
from southbound.agent.keyplane.events import KeyStatus
from southbound.agent.keyplane.messages import Assigned
from tests.support.keyplane_world import World, line
from tests.support.multicast_world import App, asked, fill, multicast_world, relays_between, told

WIRES = line(1)
NODES = ("n00", "n01")
RATE = 1000
GREEDY = App("greedy", {"n00": ("grete",), "n01": ("gustav",)}, max_bandwidth_bit_per_s=RATE)
MODEST = App("modest", {"n00": ("alice",), "n01": ("bob",)})
RELAYS = relays_between(NODES, WIRES, low_bit=1 << 16, high_bit=1 << 17)


@pytest.fixture(scope="module")
def filled() -> World:
    world = multicast_world(WIRES, RELAYS, [GREEDY, MODEST])
    fill(world, WIRES, blocks=8)
    return world


@pytest.fixture
def world(filled: World) -> World:
    return deepcopy(filled)


def status(world: World, master: str, slave: str) -> KeyStatus:
    found = world.sites["n00"].running.status(master, slave, world.now_s)
    assert found is not None
    return found


def take_all(world: World, master: str, slave: str) -> int:
    """Ask for single keys until one is refused; return how many bits were had."""
    got_bit = 0
    while (answer := asked(world, "n00", master, slave)).status == 200:
        got_bit += 8 * sum(len(each.key) for each in answer.keys)
    return got_bit


def test_an_application_that_takes_all_it_can_leaves_the_others_theirs(world: World) -> None:
    before = status(world, "alice", "bob").stored_key_count
    burst_bit = BURST_S * RATE
    assert burst_bit - 256 < take_all(world, "grete", "gustav") <= burst_bit
    assert before - status(world, "alice", "bob").stored_key_count == burst_bit // 256
    assert asked(world, "n00", "alice", "bob", number=16).status == 200


def test_who_is_over_its_bandwidth_is_told_the_limit_and_when_to_come_again(world: World) -> None:
    take_all(world, "grete", "gustav")
    refused = asked(world, "n00", "grete", "gustav", number=8)
    assert refused.status == 503
    assert "application greedy is bound to max_bandwidth 1000 bit/s" in refused.message
    assert refused.retry_after_s == 3  # 2048 bit, less what is left of the burst
    world.now_s += refused.retry_after_s
    assert asked(world, "n00", "grete", "gustav", number=8).status == 200


def test_status_counts_what_the_bandwidth_lets_through(world: World) -> None:
    before = status(world, "grete", "gustav")
    assert (before.stored_key_count, before.max_key_count) == (BURST_S * RATE // 256, BURST_S * RATE // 256)
    assert asked(world, "n00", "grete", "gustav", number=16).status == 200
    assert status(world, "grete", "gustav").stored_key_count == (BURST_S * RATE - 16 * 256) // 256
    world.now_s += BURST_S
    assert status(world, "grete", "gustav").stored_key_count == before.stored_key_count


def test_a_request_that_could_never_be_met_is_400(world: World) -> None:
    before = status(world, "grete", "gustav")
    answer = asked(world, "n00", "grete", "gustav", number=16, size_bit=4096)
    assert answer.status == 400
    assert f"more than {BURST_S * RATE} bit at once" in answer.message
    assert status(world, "grete", "gustav") == before


def test_what_was_not_delivered_is_not_counted(world: World) -> None:
    before = status(world, "grete", "gustav").stored_key_count
    world.tamper = lambda _from, _to, message: None if isinstance(message, Assigned) else message
    request = world.ask("n00", "grete", "gustav", 16)
    world.settle()
    world.drop_stream(*NODES)
    assert world.answers[request].status == 503
    world.settle()
    assert status(world, "grete", "gustav").stored_key_count == before


def test_a_new_configuration_gives_no_new_burst_and_a_higher_bound_takes_hold(world: World) -> None:
    take_all(world, "grete", "gustav")
    world.configure("n00", told("n00", WIRES, RELAYS, [GREEDY, MODEST]))
    assert asked(world, "n00", "grete", "gustav").status == 503
    faster = replace(GREEDY, max_bandwidth_bit_per_s=100 * RATE)
    world.configure("n00", told("n00", WIRES, RELAYS, [faster, MODEST]))
    world.now_s += 1
    assert asked(world, "n00", "grete", "gustav", number=16).status == 200
    world.configure("n00", told("n00", WIRES, RELAYS, [replace(GREEDY, max_bandwidth_bit_per_s=0), MODEST]))
    assert asked(world, "n00", "grete", "gustav", number=16, size_bit=1024).status == 200


@given(
    st.integers(1, 10_000),
    st.integers(1, 100_000),
    st.lists(st.tuples(st.floats(0, 100), st.integers(1, 100_000)), max_size=30),
)
def test_no_more_is_taken_than_the_burst_and_the_rate_since(
    rate: int, depth: int, wishes: list[tuple[float, int]]
) -> None:
    bucket = TokenBucket(rate_bit_per_s=rate, depth_bit=depth, level_bit=float(depth), at_s=0.0)
    now_s = taken = 0.0
    for pause_s, bit in wishes:
        now_s += pause_s
        if bucket.take(bit, now_s):
            taken += bit
        elif bit <= depth:
            assert bucket.wait_s(bit, now_s) > 0
        assert taken <= depth + rate * now_s + 1e-3
        assert 0 <= bucket.level(now_s) <= depth
