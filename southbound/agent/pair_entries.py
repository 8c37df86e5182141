"""What a node can do of the paths of pairs that it is told: its hardware decides, not the controller's model of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from controller.domain.entanglement_path import PairUse
from controller.domain.entries import LinkEntry, PathEntry
from controller.domain.pair_capacity import buffered_hop_memories
from controller.domain.pair_link import PairHardware, PairModel, Regime
from controller.domain.path_plan import HopPlan


@dataclass(frozen=True, slots=True)
class PairMeans:
    """What a node has for entanglement in truth.

    Attributes:
        hardware: Its own.
        model: Gives what one of its links does; None where it has no such link.
    """

    hardware: PairHardware
    model: Callable[[str], PairModel | None]


def own_hops(entry: PathEntry, node: str) -> list[tuple[str, HopPlan]]:
    """Return the hops that this node is an end of, with the neighbour of each; in route order."""
    if node not in entry.nodes:
        return []
    place = entry.nodes.index(node)
    found = [(entry.nodes[place - 1], entry.hops[place - 1])] if place else []
    return found + ([(entry.nodes[place + 1], entry.hops[place])] if place < len(entry.hops) else [])


def memories_needed(entry: PathEntry, node: str) -> int:
    """Return how many qubits of this node an instruction takes at the most; 0 at an end that only measures."""
    hops = own_hops(entry, node)
    if entry.regime in (Regime.SLOT, Regime.MEMORY):
        return sum(hop.memory_pairs for _, hop in hops)
    waiting = 0
    if entry.regime is Regime.BUFFERED:
        # The pair of the last swap is delivered at once; those of the others wait in buffers of their own.
        waiting = sum(node in (swap.left, swap.right) for swap in entry.swaps[:-1])
    room = sum(buffered_hop_memories(entry.buffer_pairs, hop.purification_rounds) for _, hop in hops)
    return room + waiting * entry.buffer_pairs


def path_problem(entry: PathEntry, node: str, means: PairMeans, links: Mapping[str, LinkEntry]) -> str:
    """Return why this node cannot do its part, naming the field and the remedy; "" if it can.

    Args:
        entry: Sound in itself, of a route over this node.
        node: This one.
        means: What it has.
        links: The link settings that would be in force.
    """
    hardware, transit = means.hardware, node not in (entry.head, entry.far)
    if transit and hardware.swap_success <= 0.0:
        return f"swaps: {node} cannot swap (swap_success 0): lead the path around it"
    measures_only = not transit and hardware.memories == 0 and entry.use is PairUse.MEASURE
    needed = memories_needed(entry, node)
    if needed > hardware.memories and not measures_only:
        return f"memory_pairs: take {needed} memories of {node}, which has {hardware.memories}: fewer lanes, or buffers"
    for neighbour, hop in own_hops(entry, node):
        if problem := _hop_problem(entry, hop, neighbour, means, links.get(hop.link)):
            return problem
    return ""


def _hop_problem(entry: PathEntry, hop: HopPlan, neighbour: str, means: PairMeans, link: LinkEntry | None) -> str:
    if link is None or link.neighbour != neighbour or not link.entanglement:
        return f"hops: takes link {hop.link} to {neighbour}, and no such link of pairs is set here: set it first"
    model = means.model(hop.link)
    if model is None:
        return f"hops: link {hop.link} has no hardware here: is it in the agent's topology file?"
    if hop.option >= len(model.options):
        return f"option: {hop.option} of link {hop.link}, whose hardware has options 0 to {len(model.options) - 1}"
    if entry.regime is not model.regime:
        return f"regime: {entry.regime.value}, and link {hop.link} works in the {model.regime.value} regime"
    if hop.purification_rounds and not means.hardware.can_purify:
        return f"purification_rounds: {hop.purification_rounds} on link {hop.link}, and this node cannot purify: 0"
    return ""
