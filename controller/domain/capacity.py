"""The accounting: what a link can promise, and what each relay takes of it. Admission and agents share it.

Key-plane section 5. A share of rate r, sent in chunks of b bits with a bits of masks and checks, takes
r(b+a)/b on every link of its route. ESKR is an output, never an input: relays are internal applications
and would be counted twice.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from controller.domain.key_relay import MAX_SHARES, KeyRelay
from controller.domain.link import Establishment, Link, LinkCondition
from controller.domain.route import Route

HOP_TAG_BIT: Final = 128
"""Mask of the tag of one message, from the pool of the direction it travels in."""
HOP_ACK_BIT: Final = 128
"""Mask of the tag of its acknowledgement, from the pool of the other direction."""
END_TO_END_CHECK_BIT: Final = 256
"""Hash key and mask that travel with a chunk, so that both ends can compare it without telling it."""
SMALLEST_CHUNK_BIT: Final = 256
LARGEST_CHUNK_BIT: Final = 8192
_CHUNK_PERIOD_S: Final = 30
_MASKS_BIT: Final = HOP_TAG_BIT + HOP_ACK_BIT + END_TO_END_CHECK_BIT


def chunk_bits(rate_millibit_per_s: int) -> int:
    """Return the size of the chunks of a relay: large enough that tags cost little, small enough to fill in time.

    Returns:
        What the rate fills in 30 s, rounded up to whole bytes, but 256..8192 bit.

    >>> chunk_bits(1_000), chunk_bits(100_000), chunk_bits(10**9)
    (256, 3000, 8192)
    """
    filled = -(-rate_millibit_per_s * _CHUNK_PERIOD_S // 8000) * 8
    return max(SMALLEST_CHUNK_BIT, min(filled, LARGEST_CHUNK_BIT))


def link_charge_millibit_per_s(rate_millibit_per_s: int) -> int:
    """Return what one share of that rate takes on every link of its route: r(b+a)/b, rounded up.

    Between the smallest and the largest chunk, b is what the rate fills in 30 s, so that the masks take a bits in
    30 s whatever the rate. Counting that, and not b rounded to whole bytes, lets the charge rise with the rate.

    >>> link_charge_millibit_per_s(1_000), link_charge_millibit_per_s(100_000), link_charge_millibit_per_s(1_000_000)
    (3000, 117067, 1062500)
    """
    masked = rate_millibit_per_s * _MASKS_BIT
    smallest, largest = -(-masked // SMALLEST_CHUNK_BIT), -(-masked // LARGEST_CHUNK_BIT)
    between = -(-_MASKS_BIT * 1000 // _CHUNK_PERIOD_S)
    return rate_millibit_per_s + max(largest, min(smallest, between))


def rate_within(room_millibit_per_s: int) -> int:
    """Return the largest rate whose charge fits into the room; 0 when none does.

    >>> rate_within(1_062_500), rate_within(2)
    (1000000, 0)
    """
    # The charge rises with the rate, and is never less than it.
    low, high = 0, max(0, room_millibit_per_s)
    while low < high:
        middle = (low + high + 1) // 2
        if link_charge_millibit_per_s(middle) <= room_millibit_per_s:
            low = middle
        else:
            high = middle - 1
    return low


def promised_skr_millibit_per_s(link: Link, condition: LinkCondition) -> int:
    """Return the secret key rate that may be relied on: measured after hysteresis, else the model's."""
    if condition.promised_skr_millibit_per_s is None:
        return link.model_skr_millibit_per_s
    return condition.promised_skr_millibit_per_s


def capacity_millibit_per_s(link: Link, condition: LinkCondition) -> int:
    """Return what a link can carry for relays: promised SKR less its authentication rate; >= 0.

    A link that is down keeps its capacity for what already runs on it; whether anything new may be
    promised is `admissible`'s question, not one of amount.
    """
    if link.establishment is not Establishment.ESTABLISHED:
        return 0
    return max(0, promised_skr_millibit_per_s(link, condition) - link.authentication_rate_millibit_per_s)


def route_charges(routes: Iterable[Route], rate_millibit_per_s: int) -> dict[str, int]:
    """Return what routes of that rate take, by link: a link used by two shares is charged twice."""
    charge = link_charge_millibit_per_s(rate_millibit_per_s)
    charges: dict[str, int] = {}
    for route in routes:
        for link in route.links:
            charges[link] = charges.get(link, 0) + charge
    return charges


def relay_charges(relay: KeyRelay) -> dict[str, int]:
    """Return what a relay holds now, by link: wanted, retiring and backup routes, and what is still releasing.

    A link common to several sets of one share is charged the largest of them, not the sum: keys originate on one of
    them at a time, and what is under way on the other is not more than it was. Routes that are left may have had
    another rate. A backup is charged beside them, as its shares count on from MAX_SHARES.
    """
    by_share: dict[tuple[str, int], int] = {}

    def hold(routes: Iterable[Route], charge: int, first_share: int) -> None:
        for share, route in enumerate(routes, start=first_share):
            for link in route.links:
                by_share[link, share] = max(by_share.get((link, share), 0), charge)

    if relay.routes:
        hold(relay.routes, link_charge_millibit_per_s(relay.demand.rate_millibit_per_s), 0)
    for left in relay.retiring:
        hold(left.routes, left.charge_millibit_per_s, 0)
    if relay.backup is not None:
        hold(relay.backup.routes, relay.backup.charge_millibit_per_s, MAX_SHARES)
    for held in relay.releasing:
        key = held.link, held.share
        by_share[key] = max(by_share.get(key, 0), held.charge_millibit_per_s)
    charges: dict[str, int] = {}
    for (link, _), amount in by_share.items():
        charges[link] = charges.get(link, 0) + amount
    return charges


def reserved_millibit_per_s(relays: Iterable[KeyRelay]) -> dict[str, int]:
    """Return what all relays hold, by link."""
    total: dict[str, int] = {}
    for relay in relays:
        for link, charge in relay_charges(relay).items():
            total[link] = total.get(link, 0) + charge
    return total


def over_reserved(
    links: Mapping[str, Link], conditions: Mapping[str, LinkCondition], reserved: Mapping[str, int]
) -> dict[str, int]:
    """Return by how much each link is promised beyond its capacity; empty when nothing is over-promised."""
    excess = {
        name: amount - capacity_millibit_per_s(links[name], conditions.get(name, LinkCondition()))
        if name in links
        else amount
        for name, amount in reserved.items()
    }
    return {name: amount for name, amount in excess.items() if amount > 0}
