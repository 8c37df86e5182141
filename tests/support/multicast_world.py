"""A network of key planes in which applications have SAEs at several nodes, one key relay between each two of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from southbound.agent.keyplane.events import Answer
from southbound.agent.keyplane.settings import Association, Settings
from tests.support.keyplane_world import Relay, Wire, World, settings_of


@dataclass(frozen=True)
class App:
    """An application: its SAEs by node; keys are 256 bit."""

    name: str
    saes: Mapping[str, tuple[str, ...]]
    max_bandwidth_bit_per_s: int = 0
    ttl_s: float = 600.0

    def associations(self, node: str, relays: Iterable[Relay]) -> list[Association]:
        """Return what a controller would tell a node of it: one association for each far node that a relay leads to."""
        found: dict[str, Association] = {}
        for relay in relays:
            far = {relay.head: relay.tail, relay.tail: relay.head}.get(node)
            if far is not None and node in self.saes and far in self.saes and far not in found:
                found[far] = Association(
                    application=self.name,
                    relay=relay.name,
                    remote_node=far,
                    local_saes=self.saes[node],
                    remote_saes=self.saes[far],
                    keys_per_request_max=16,
                    key_ttl_s=self.ttl_s,
                    max_bandwidth_bit_per_s=self.max_bandwidth_bit_per_s,
                )
        return list(found.values())


def star(tips: Sequence[str], hub: str = "hub") -> tuple[Wire, ...]:
    """Return the wires of a star: one from the hub to each tip."""
    return tuple(Wire(f"{hub}-{tip}", (hub, tip)) for tip in tips)


def relays_between(nodes: Iterable[str], wires: Sequence[Wire], **fields: int) -> list[Relay]:
    """Return a relay between each two of the nodes, by the fewest links."""
    return [
        Relay(f"{one}-{other}", one, _way(wires, one, other), **fields)  # type: ignore[arg-type]
        for one, other in combinations(sorted(nodes), 2)
    ]


def _way(wires: Sequence[Wire], start: str, goal: str) -> tuple[Wire, ...]:
    ways: list[tuple[str, tuple[Wire, ...]]] = [(start, ())]
    seen = {start}
    for node, way in ways:
        if node == goal:
            return way
        for wire in wires:
            if node in wire.ends and (far := wire.far(node)) not in seen:
                seen.add(far)
                ways.append((far, (*way, wire)))
    raise AssertionError(f"no way from {start} to {goal}")


def told(node: str, wires: Sequence[Wire], relays: Sequence[Relay], apps: Sequence[App]) -> Settings:
    """Return what a controller would tell the node."""
    associations = tuple(one for app in apps for one in app.associations(node, relays))
    return replace(settings_of(node, wires, relays), associations=associations)


def multicast_world(wires: Sequence[Wire], relays: Sequence[Relay], apps: Sequence[App], *, seed: int = 0) -> World:
    """Return a world in which all is configured and connected, without any key yet."""
    world = World(seed)
    names = sorted({end for wire in wires for end in wire.ends})
    world.add(*names)
    for name in names:
        world.configure(name, told(name, wires, relays, apps))
    world.settle()
    return world


def fill(world: World, wires: Sequence[Wire], seconds: float = 30.0, blocks: int = 4) -> None:
    """Distil on every link, and let the relays fill their stocks."""
    for wire in wires:
        for _ in range(blocks):
            world.distil(wire.link, wire.ends)
    world.run(seconds)


def asked(world: World, node: str, master: str, *slaves: str, number: int = 1, size_bit: int | None = None) -> Answer:
    """Ask for keys for all of the slaves, and let everything that follows happen."""
    request = world.ask(node, master, slaves[0], number, size_bit, slaves[1:])
    world.settle()
    return world.answers[request]
