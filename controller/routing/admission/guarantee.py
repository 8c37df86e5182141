"""What exponential prices guarantee, whatever comes in whatever order, and under which condition.

Awerbuch, Azar, Plotkin: Throughput-competitive on-line routing, FOCS 1993, for relays that stay. Routes have at most
H links, mu = 2 H + 4, a link that is u full is priced mu^u - 1, and a relay that takes r of each link is worth H r.

- A relay that is admitted raises the sum over all links of capacity x price by at most 2 log2(mu) times its worth,
  provided that r <= capacity / log2(mu): 2^x - 1 <= x then holds for the step that each price makes.
- Whatever an optimum carries of the relays that were refused was priced above its worth then, and prices only rise.
  No link of the optimum carries more than its capacity, so all that is worth no more than that sum.

So an optimum that knows all relays beforehand, and may even split them, carries at most 1 + 2 log2(mu) times what was
admitted. Under the same condition a link without room for r costs more than H, so that room never decides. Larger
relays void the ratio, never the capacity: a route has room on each of its links in any case. Relays that end only make
room; of them the ratio says nothing.
"""

import math

from controller.routing.admission.prices import ONE, price_base


def competitive_ratio(longest_route: int) -> float:
    """Return how many times what was admitted an optimum can carry at most, of small relays that stay.

    >>> round(competitive_ratio(7), 1)
    9.3
    """
    return 1 + 2 * math.log2(price_base(longest_route)) * (1 + 1 / ONE)


def largest_small(capacity_millibit_per_s: int, longest_route: int) -> int:
    """Return how much a relay may take of a link, in millibit/s, for the ratio to hold: capacity / log2(mu).

    >>> largest_small(1000, 7)
    239
    """
    return int(capacity_millibit_per_s / math.log2(price_base(longest_route)))
