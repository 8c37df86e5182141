"""The accounting of entanglement: what links and nodes have for pairs, and what each plan takes of it.

Resources, each with its unit: a link by its name (SLOT: channels; MEMORY: memory pairs; BUFFERED and AT_ONCE: mHz of
the fastest option of its model, so that what several options take of one stream of attempts adds up); and of a node
its memories (qubits) and its swap time (microseconds of swapping per second).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from controller.domain.link import UNKNOWN_CONDITION, Establishment, Link, LinkCondition
from controller.domain.node import Node
from controller.domain.pair_link import PairModel, Regime, usable_success
from controller.domain.path_plan import HopPlan, PathPlan, SwapStep
from controller.domain.route import Route

SWAP_TIME_US_PER_S: Final = 1_000_000
"""What a node has of it: it makes one swap after the other."""
_LOWEST_FIDELITY: Final = 0.25


def memories_of(node: str) -> str:
    """Return the resource that a node's memories are.

    >>> memories_of("a")
    'nodes/a/memories'
    """
    return f"nodes/{node}/memories"


def swap_time_of(node: str) -> str:
    """Return the resource that a node's time for swaps is.

    >>> swap_time_of("a")
    'nodes/a/swap-time'
    """
    return f"nodes/{node}/swap-time"


def pair_capacity(
    nodes: Mapping[str, Node], links: Mapping[str, Link], conditions: Mapping[str, LinkCondition], resource: str
) -> int:
    """Return what of a resource can be promised to paths, in its unit; 0 of one that makes no pairs or does not exist.

    A link that is down keeps its capacity for what already runs on it, as a QKD link does.
    """
    kind, _, rest = resource.partition("/")
    if kind == "nodes" and rest:
        name, _, what = rest.partition("/")
        node = nodes.get(name)
        if node is None or node.pairs is None:
            return 0
        return {"memories": node.pairs.memories, "swap-time": SWAP_TIME_US_PER_S}.get(what, 0)
    link = links.get(resource)
    if link is None or link.pairs is None or link.establishment is not Establishment.ESTABLISHED:
        return 0
    return link_pair_capacity(link.pairs, conditions.get(resource, UNKNOWN_CONDITION))


def link_pair_capacity(model: PairModel, condition: LinkCondition) -> int:
    """Return what a link can promise, in the unit of its regime.

    Measured pairs below the model's leave fewer to promise where rate is what is promised; channels and memory pairs
    stay as many, only slower (see `effective_options`). Pairs that test the link are taken off likewise.
    """
    if model.regime in (Regime.SLOT, Regime.MEMORY):
        return model.memory_pairs
    permille, _ = condition.pair_worth
    return int(usable_success(fastest_millihertz(model) * min(permille, 1000) / 1000) * (1 + 1e-12))


def fastest_millihertz(model: PairModel) -> int:
    """Return the elementary pairs per 1,000 s of the fastest option of a model."""
    return max(model.rate_millihertz(option) for option in range(len(model.options)))


def stream_shares(model: PairModel | None) -> tuple[float, ...]:
    """Return the rate of each option as a ratio of the fastest, where they share one stream of attempts.

    What is charged for a rate of pairs rests on these: others would need other charges for what is promised already.
    """
    if model is None or model.regime not in (Regime.BUFFERED, Regime.AT_ONCE):
        return ()
    most = max(option.success_probability for option in model.options)
    return tuple(round(option.success_probability / most, 9) for option in model.options)


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectiveOption:
    """An option as it works now.

    Attributes:
        index: Of the option in the link's model.
        success_probability: That one attempt makes a pair to use, not one that tests the link; in (0, 1).
        fidelity: At herald; in (0.25, 1]; F = <Phi+|rho|Phi+>.
    """

    index: int
    success_probability: float
    fidelity: float


def effective_options(link: Link, condition: LinkCondition) -> tuple[EffectiveOption, ...]:
    """Return the options of a link as measured; those that make no entangled pair now are left out."""
    if link.pairs is None:
        return ()
    permille, fidelity_permille = condition.pair_worth
    loss = -fidelity_permille / 1000
    found = []
    for index, option in enumerate(link.pairs.options):
        probability = usable_success(option.success_probability * min(permille, 1000) / 1000)
        fidelity = min(1.0, option.fidelity - loss) if loss else option.fidelity
        if probability > 0.0 and fidelity > _LOWEST_FIDELITY:
            found.append(EffectiveOption(index=index, success_probability=probability, fidelity=fidelity))
    return tuple(found)


def stream_charge(model: PairModel, option: int, rate_millihertz: int) -> int:
    """Return what a rate of elementary pairs takes of a link's one stream of attempts, in mHz of its fastest option.

    An option that needs more attempts for a pair takes more of the stream. Rounded up.
    """
    rate = model.rate_millihertz(option)
    return -(-rate_millihertz * fastest_millihertz(model) // max(rate, 1))


def buffered_hop_memories(buffer_pairs: int, purification_rounds: int) -> int:
    """Return the memories that a hop with a buffer takes at either end: the buffer, or what its purification needs.

    Nested rounds hold one pair each that waits for another, and the pair that comes.

    >>> buffered_hop_memories(8, 2), buffered_hop_memories(1, 2)
    (8, 3)
    """
    return max(buffer_pairs, purification_rounds + 1)


def swap_time_charge(attempts_per_s: float, duration_s: float) -> int:
    """Return what swaps take of a node's time, microseconds per second, rounded up.

    >>> swap_time_charge(100.0, 1e-4), swap_time_charge(100.0, 0.0)
    (10000, 0)
    """
    return math.ceil(attempts_per_s * duration_s * 1e6 * (1.0 - 1e-12))


def plan_charges(
    regime: Regime,
    route: Route,
    hops: tuple[HopPlan, ...],
    swaps: tuple[SwapStep, ...],
    *,
    models: Mapping[str, PairModel],
    buffer_pairs: int,
    swap_time_us_per_s: Mapping[str, int],
    storeless: frozenset[str] = frozenset(),
) -> dict[str, int]:
    """Return what a plan takes of each resource; zeros are left out.

    Args:
        regime: Of all links.
        route: Whose hops and transit nodes these are.
        hops: As of PathPlan.
        swaps: As of PathPlan.
        buffer_pairs: As of PathPlan.
        models: Of the links, by name.
        swap_time_us_per_s: What the swaps of each transit node take of its time.
        storeless: Ends without memories, which measure their halves at once and hold nothing.
    """
    charges: dict[str, int] = {}

    def take(resource: str, amount: int) -> None:
        charges[resource] = charges.get(resource, 0) + amount

    for hop, plan in zip(route.hops(), hops, strict=True):
        if regime in (Regime.SLOT, Regime.MEMORY):
            take(plan.link, plan.memory_pairs)
        else:
            take(plan.link, stream_charge(models[plan.link], plan.option, plan.rate_millihertz))
        held = plan.memory_pairs
        if regime in (Regime.BUFFERED, Regime.AT_ONCE):
            held = buffered_hop_memories(buffer_pairs, plan.purification_rounds)
        for end in (hop.start, hop.end):
            take(memories_of(end), held)
    if regime is Regime.BUFFERED:
        # The pair of the last swap is delivered at once; those of all others wait in buffers of their own.
        for swap in swaps[:-1]:
            take(memories_of(swap.left), buffer_pairs)
            take(memories_of(swap.right), buffer_pairs)
    for node, amount in swap_time_us_per_s.items():
        take(swap_time_of(node), amount)
    return {
        resource: amount
        for resource, amount in sorted(charges.items())
        if amount and resource not in {memories_of(node) for node in storeless}
    }


def kept_at_end(route: Route, plan: PathPlan, end: str) -> int:
    """Return the memories that a plan takes at an end of its route beside those that its hop and its swaps take.

    They hold the pairs of a packet until all are there; below 0 where that end stores nothing at all.
    """
    hop = plan.hops[0 if end == route.source else -1]
    at_work = hop.memory_pairs
    if plan.regime in (Regime.BUFFERED, Regime.AT_ONCE):
        at_work = plan.buffer_pairs
    if plan.regime is Regime.BUFFERED:
        at_work += plan.buffer_pairs * sum(end in (swap.left, swap.right) for swap in plan.swaps[:-1])
    return plan.charges.get(memories_of(end), 0) - at_work
