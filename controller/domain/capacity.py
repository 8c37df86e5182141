"""The accounting: what a resource can promise, and what each service takes of it. Admission and agents share it.

A resource is a link, or what of a node entanglement paths share (pair_capacity). Key relays: key-plane section 5. A
share of rate r, sent in chunks of b bits with a bits of masks and checks, takes r(b+a)/b on every link of its route.
ESKR is an output, never an input: relays are internal applications and would be counted twice.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final

from controller.domain.key_relay import Demand
from controller.domain.link import UNKNOWN_CONDITION, Establishment, Link, LinkCondition, LinkKind
from controller.domain.node import Node
from controller.domain.pair_capacity import pair_capacity
from controller.domain.path_plan import PathPlan
from controller.domain.route import Route
from controller.domain.service import MAX_SHARES, Service, ServiceDemand

HOP_TAG_BIT: Final = 128
"""Mask of the tag of one message, from the pool of the direction it travels in."""
HOP_ACK_BIT: Final = 128
"""Mask of the tag of its acknowledgement, from the pool of the other direction."""
END_TO_END_CHECK_BIT: Final = 256
"""Hash key and mask that travel with a chunk, so that both ends can compare it without telling it."""
BLOCK_COMPARE_BIT: Final = 384
"""What both ends of a link spend of each block of key to see that they hold the same."""
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


def service_charges(service: Service) -> dict[str, int]:
    """Return what a service holds now, by resource: wanted, retiring and backup routes, and what is still releasing.

    A key relay is charged by its rate on every link, in millibit/s; an entanglement path what its plan says, in the
    unit of each resource. What is common to several sets of one share is charged the largest of them, not the sum:
    keys or pairs are made on one of them at a time, and what is under way on the other is not more than it was.
    Routes that are left may have had another rate. A backup is charged beside them, as its shares count on from
    MAX_SHARES.
    """
    by_share: dict[tuple[str, int], int] = {}

    def hold(routes: Iterable[Route], plan: PathPlan | None, charge: int, first_share: int) -> None:
        for held, share, amount in set_charges(routes, plan, charge, first_share):
            by_share[held, share] = max(by_share.get((held, share), 0), amount)

    if service.routes:
        hold(service.routes, service.plan, share_charge(service.demand), 0)
    for left in service.retiring:
        hold(left.routes, left.plan, left.charge_millibit_per_s, 0)
    if service.backup is not None:
        hold(service.backup.routes, service.backup.plan, service.backup.charge_millibit_per_s, MAX_SHARES)
    for held in service.releasing:
        key = held.link, held.share
        by_share[key] = max(by_share.get(key, 0), held.charge_millibit_per_s)
    charges: dict[str, int] = {}
    for (resource, _), amount in by_share.items():
        charges[resource] = charges.get(resource, 0) + amount
    return charges


def share_charge(demand: ServiceDemand) -> int:
    """Return what each link is charged for one share of a demand, millibit/s; 0 for a path: its plan says it."""
    return link_charge_millibit_per_s(demand.rate_millibit_per_s) if isinstance(demand, Demand) else 0


def set_charges(
    routes: Iterable[Route], plan: PathPlan | None, charge_millibit_per_s: int, first_share: int = 0
) -> Iterator[tuple[str, int, int]]:
    """Yield (resource, share, amount) of all that a set of routes holds."""
    if plan is not None:
        for resource, amount in plan.charges.items():
            yield resource, first_share, amount
        return
    for share, route in enumerate(routes, start=first_share):
        for link in route.links:
            yield link, share, charge_millibit_per_s


def reserved_by(services: Iterable[Service]) -> dict[str, int]:
    """Return what all services hold, by resource: of a QKD link in millibit/s."""
    total: dict[str, int] = {}
    for service in services:
        for resource, charge in service_charges(service).items():
            total[resource] = total.get(resource, 0) + charge
    return total


def resource_capacity(
    nodes: Mapping[str, Node],
    links: Mapping[str, Link],
    conditions: Mapping[str, LinkCondition],
    resource: str,
) -> int:
    """Return what of a resource can be promised, in its unit; 0 of one that does not exist."""
    link = links.get(resource)
    if link is not None and link.kind is LinkKind.QKD:
        return capacity_millibit_per_s(link, conditions.get(resource, UNKNOWN_CONDITION))
    return pair_capacity(nodes, links, conditions, resource)


def over_reserved(
    links: Mapping[str, Link],
    conditions: Mapping[str, LinkCondition],
    reserved: Mapping[str, int],
    *,
    nodes: Mapping[str, Node] | None = None,
) -> dict[str, int]:
    """Return by how much each resource is promised beyond its capacity; empty when nothing is over-promised."""
    excess = {
        resource: amount - resource_capacity(nodes or {}, links, conditions, resource)
        for resource, amount in reserved.items()
    }
    return {resource: amount for resource, amount in excess.items() if amount > 0}


def resource_exists(nodes: Collection[str], links: Collection[str], resource: str) -> bool:
    """Tell whether what a resource is of exists.

    >>> resource_exists({"a"}, {"a-b"}, "nodes/a/memories"), resource_exists({"a"}, {"a-b"}, "b-c")
    (True, False)
    """
    kind, _, rest = resource.partition("/")
    return rest.partition("/")[0] in nodes if kind == "nodes" and rest else resource in links


def holders(routes: Iterable[Route], resource: str) -> tuple[str, str]:
    """Return the nodes of routes without which a resource cannot be used: a link's two ends, or twice the node.

    >>> holders([Route(nodes=("b", "a"), links=("a-b",))], "a-b"), holders([], "nodes/a/memories")
    (('a', 'b'), ('a', 'a'))
    """
    for route in routes:
        for hop in route.hops():
            if hop.link == resource:
                return min(hop.start, hop.end), max(hop.start, hop.end)
    node = resource.split("/")[1]
    return node, node
