"""Traffic both ways on links that are reserved to the last bit: each direction gets what it was promised."""

import pytest

from controller.domain.capacity import chunk_bits, rate_within
from tests.support.keyplane_world import Relay, World, line, world_of

WIRES = line(2)
RATE = rate_within(10_000_000)
PERIOD_S = 2
COMPARED_BIT = 384
LASTS_S = 160


def confirmed(world: World) -> dict[str, int]:
    return {node: world.sites[node].running.figures().relays[0].confirmed_bit for node in ("n00", "n02")}


@pytest.mark.parametrize("forward_share", [0.5, 0.8])
def test_each_direction_gets_its_promise_while_both_ask_for_everything(forward_share: float) -> None:
    relay = Relay(
        "r",
        "n00",
        WIRES,
        chunk_bit=chunk_bits(RATE),
        low_bit=1 << 24,
        high_bit=1 << 24,
        rate_millibit_per_s=RATE,
        forward_share=forward_share,
    )
    world = world_of(WIRES, [relay], stride_bit=256)
    made_bit = {"n00": 0, "n02": 0}
    for at_s in range(0, LASTS_S, PERIOD_S):
        if at_s == LASTS_S // 4:
            made_bit = confirmed(world)
        for wire, rate in zip(WIRES, (60_000, 10_000), strict=True):
            world.distil(wire.link, wire.ends, COMPARED_BIT + PERIOD_S * rate)
        world.run(PERIOD_S)
    end_bit = confirmed(world)
    for node, part in (("n00", forward_share), ("n02", 1 - forward_share)):
        got_bit = end_bit[node] - made_bit[node] + relay.chunk_bit  # one may be about to come
        assert got_bit >= 0.95 * part * RATE / 1000 * 0.75 * LASTS_S, node
