"""Keys over lines of trusted nodes, end to end."""

import pytest

from tests.support.keyplane_world import Relay, line, world_of


@pytest.mark.parametrize("hops", range(1, 13))
def test_both_ends_of_a_line_hand_out_the_same_key(hops: int) -> None:
    # given a line with two blocks on every link
    wires = line(hops)
    relay = Relay("r", "n00", wires)
    world = world_of(wires, [relay])
    for wire in wires:
        for _ in range(2):
            world.distil(wire.link, wire.ends)
    world.run(60)

    for master, slave in ((relay.head, relay.tail), (relay.tail, relay.head)):
        # when a master takes keys and its slave fetches them by their ids
        status = world.sites[master].running.status(relay.sae(master), relay.sae(slave))
        assert status is not None
        assert status.stored_key_count == status.max_key_count == relay.high_bit // 256
        asked = world.ask(master, relay.sae(master), relay.sae(slave), 3)
        world.settle()
        given = world.answers[asked]
        fetched = world.answers[
            world.fetch(slave, relay.sae(slave), relay.sae(master), [key.key_id for key in given.keys])
        ]

        # then both have the same
        assert (given.status, fetched.status) == (200, 200)
        assert given.keys == fetched.keys
        assert len({key.key for key in given.keys}) == 3
