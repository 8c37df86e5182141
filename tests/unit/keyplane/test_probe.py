"""The first chunk on a new route is not waited for long: the other end may not have been told of the route yet."""

from southbound.agent.keyplane.chunks import CHECK_BYTES
from southbound.agent.keyplane.outbox import Outbox
from southbound.agent.keyplane.settings import Hop, RelayHop
from southbound.agent.keyplane.stock import RelayStock
from southbound.agent.keyplane.ways import CHUNK_TIMEOUT_S


def probing() -> RelayStock:
    stock = RelayStock("r", "a", "c")
    hop = RelayHop(
        relay="r",
        route_version=2,
        head="a",
        tail="c",
        previous=None,
        next=Hop(link="a-b", node="b"),
        rate_millibit_per_s=1000,
        chunk_bit=256,
        stock_low_bit=256,
        stock_high_bit=512,
    )
    stock.configure([hop], Outbox(0.0))
    stock.synchronised = True
    return stock


def test_lost_probes_follow_each_other_at_growing_intervals_up_to_the_usual_time() -> None:
    stock, now_s = probing(), 0.0
    waits: list[float] = []
    for _ in range(8):
        while not stock.wanted_on(now_s):
            now_s += 0.05
        made_s = now_s
        stock.make((2,), bytes(32 + CHECK_BYTES), Outbox(made_s))
        while stock.unconfirmed_bit:
            now_s += 0.05
            stock.expire(Outbox(now_s))
        waits.append(round(now_s - made_s, 1))
    assert waits[:3] == [1.0, 2.0, 4.0]
    assert waits[-1] == CHUNK_TIMEOUT_S
    assert waits == sorted(waits)
