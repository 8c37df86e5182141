"""Who may draw link key, where acknowledgements and chunks meet."""

from southbound.agent.keyplane.scheduler import LinkScheduler, chunk_cost_bit
from tests.support.keyplane_world import Relay, Wire

WIRE = Wire("l", ("a", "b"))
SLOW, FAST = ("slow", 0), ("fast", 0)


def scheduler_at_a() -> LinkScheduler:
    """Return the scheduler of a link on which `slow` sends both ways, and `fast` only what others acknowledge here."""
    scheduler = LinkScheduler()
    slow = Relay("slow", "a", (WIRE,), chunk_bit=304, rate_millibit_per_s=10_000, forward_share=0.9).hop("a")
    fast = Relay("fast", "b", (WIRE,), chunk_bit=8192, rate_millibit_per_s=500_000, forward_share=1.0).hop("a")
    assert slow is not None
    assert fast is not None
    scheduler.configure([(slow, True, False), (fast, False, True)], 0.0)
    return scheduler


def test_acknowledging_what_the_neighbour_borrows_uses_nothing_of_a_relays_own_promise() -> None:
    scheduler = scheduler_at_a()
    cost_bit = chunk_cost_bit(304)
    drawn = 0
    for second in range(1, 401):
        for _ in range(10):
            scheduler.acknowledged(SLOW)
        scheduler.order([("slow", 1, 0)], float(second))
        while scheduler.claims()[SLOW] >= cost_bit and scheduler.may_draw(SLOW, cost_bit, cost_bit):
            scheduler.drew(SLOW, cost_bit)
            drawn += 304
    assert drawn >= 9 * 400


def test_who_only_acknowledges_here_claims_no_room_for_chunks() -> None:
    scheduler = scheduler_at_a()
    assert scheduler.claims()[FAST] < 1000
    scheduler.drew(SLOW, 10_000)
    assert scheduler.may_draw(SLOW, chunk_cost_bit(304), chunk_cost_bit(304) + 1000)
