"""What must hold of key relays and entanglement paths together whenever a network is at rest."""

from collections import Counter

from controller.domain.pair_capacity import SWAP_TIME_US_PER_S
from qinet.northbound.v1.entanglement_path_pb2 import EntanglementPath
from tests.support.daemons import World
from tests.support.operator_calls import Relay, State


def settled(path: EntanglementPath) -> bool:
    """Tell whether a path is at rest, delivers, and holds nothing that it left."""
    return path.state == State.STATE_ACTIVE and at_rest(path)


def at_rest(path: EntanglementPath) -> bool:
    """Tell whether a path is where it shall be, whatever its state, and holds nothing that it left."""
    phase = Relay.PHASE_UNSPECIFIED if path.state == State.STATE_BLOCKED else Relay.PHASE_SETTLED
    rest = path.phase == phase and not path.unconfirmed_nodes and not path.retiring_routes
    return rest and not any(each.releasing for each in path.reservations)


def over_promised(world: World) -> list[str]:
    """Return every resource of which more is held than there is, or other than its holders say."""
    held: Counter[str] = Counter()
    for path in world.all_paths().values():
        for each in path.reservations:
            held[each.resource.removeprefix("links/")] += each.amount
    there: dict[str, int] = {}
    for node in world.network.nodes:
        if node.pairs is not None:
            there |= {f"nodes/{node.name}/memories": node.pairs.memories}
            there |= {f"nodes/{node.name}/swap-time": SWAP_TIME_US_PER_S}
    wrong = []
    for name, link in world.links().items():
        there[name] = link.pair_capacity
        if link.reserved_pairs != held[name]:
            wrong.append(f"{name}: {link.reserved_pairs} are reserved, and paths hold {held[name]}")
        if link.reserved_bit_per_s > link.capacity_bit_per_s:
            wrong.append(f"{name}: {link.reserved_bit_per_s:g} of {link.capacity_bit_per_s:g} bit/s are promised")
    return wrong + [
        f"{resource}: {amount} of {there.get(resource, 0)} are promised"
        for resource, amount in held.items()
        if amount > there.get(resource, 0)
    ]


def not_as_wanted(world: World) -> list[str]:
    """Return every agent that holds something else than it should."""
    return [
        f"{node}: holds {agent.confirmed_digest[:8]} and should {agent.desired_digest[:8]}, refuses"
        f" {[one.entry for one in agent.refused_entries]}, has not confirmed {list(agent.unconfirmed_paths)}"
        for node, agent in world.agents().items()
        if agent.confirmed_digest != agent.desired_digest or agent.refused_entries or agent.unconfirmed_paths
    ]


def left_behind(world: World) -> list[str]:
    """Return what is there of paths although every path was deleted."""
    wrong = [f"{name} is there" for name in world.all_paths()]
    for name, link in world.links().items():
        if link.reserved_pairs or link.entanglement_path:
            wrong.append(f"{name}: {link.reserved_pairs} are reserved, made of {link.entanglement_path!r}")
    return wrong + not_as_wanted(world)
