"""What agents claim to have against the topology: an alarm for as long as they differ."""

from dataclasses import dataclass, field, replace

from controller.domain import events
from controller.domain.alarm import Severity
from controller.domain.inventory import Inventory, InventoryLink, inventory_differences
from controller.domain.link import Link, LinkEnd
from controller.domain.node import Capability, Interface, Node, Technology
from controller.domain.snapshot import ElectionId
from controller.ports.observations import Observations
from southbound.control.inventories import Inventories
from southbound.control.registry import Registry
from southbound.control.settings import ControlSettings
from tests.unit.control.model_agent import hello

NODE = Node(name="a", location="x", interfaces=(Interface(number=1, technology=Technology.DV_QKD, model="m1"),))
LINK = Link(
    name="a-b", ends=(LinkEnd(node="a", interface=1), LinkEnd(node="b", interface=1)), model_skr_millibit_per_s=1
)
CLAIM = Inventory(
    capabilities=NODE.capabilities,
    interfaces=NODE.interfaces,
    links=(InventoryLink(link="a-b", local_interface=1, neighbour="b"),),
    location="x",
)


@dataclass
class World:
    nodes: dict[str, Node] = field(default_factory=lambda: {"a": NODE})
    links: dict[str, Link] = field(default_factory=lambda: {"a-b": LINK})


def test_the_same_is_no_difference_and_neither_is_what_one_side_does_not_state() -> None:
    assert inventory_differences(NODE, [LINK], CLAIM) == ()
    silent = replace(CLAIM, location="", interfaces=(replace(NODE.interfaces[0], model=""),))
    assert inventory_differences(NODE, [LINK], silent) == ()


def test_every_difference_is_named() -> None:
    claim = Inventory(
        capabilities=frozenset({Capability.KEY_RELAY, Capability.ENTANGLEMENT}),
        interfaces=(
            replace(NODE.interfaces[0], technology=Technology.CV_QKD),
            Interface(number=2, technology=Technology.DV_QKD),
        ),
        links=(
            InventoryLink(link="a-b", local_interface=2, neighbour="c"),
            InventoryLink(link="a-d", local_interface=1, neighbour="d"),
        ),
        location="y",
    )
    assert inventory_differences(NODE, [LINK], claim) == (
        "capability key_delivery: the topology has it, the agent does not claim it",
        "capability entanglement: the agent claims it, the topology does not have it",
        "location: x in the topology, y by the agent",
        "interface 1: technology is DV-QKD in the topology, CV-QKD by the agent",
        "interface 2: the agent claims it, the topology does not have it",
        "link a-b: leads to b in the topology, to c by the agent",
        "link a-b: at interface 1 in the topology, at 2 by the agent",
        "link a-d: the agent claims it, the topology does not have it",
    )
    assert inventory_differences(NODE, [LINK], Inventory(capabilities=NODE.capabilities)) == (
        "interface 1: the topology has it, the agent does not claim it",
        "link a-b: the topology has it, the agent does not claim it",
    )


def test_a_change_of_the_topology_ends_a_difference_at_once_and_makes_none_before_the_next_hello() -> None:
    world = World()
    watch = Inventories(lambda: world)
    (raised,) = watch.claimed("a", replace(CLAIM, links=()))
    assert isinstance(raised, events.AlarmRaised)
    assert raised.alarm.key == ("", "nodes/a", "INVENTORY_MISMATCH")
    assert raised.alarm.severity is Severity.MINOR
    assert "link a-b" in raised.alarm.message
    assert watch.look() == []

    # a link that is added does not count, one that is taken out does
    other = replace(LINK, name="a-b2")
    world.links = {"a-b": LINK, "a-b2": other}
    assert watch.look() == []
    world.links = {"a-b2": other}
    assert watch.look() == [("a", events.AlarmCleared(key=raised.alarm.key))]
    (again,) = watch.claimed("a", replace(CLAIM, links=()))
    assert isinstance(again, events.AlarmRaised)
    assert watch.forget("a") == [events.AlarmCleared(key=raised.alarm.key)]
    assert watch.forget("a") == []


def test_a_hello_with_another_inventory_is_an_alarm_of_the_registry() -> None:
    told: list[events.AgentEvent] = []

    def deliver(event: events.AgentEvent, done: object) -> bool:
        told.append(event)
        return True

    world = World(nodes={"a": NODE, "b": Node(name="b")}, links={})
    registry = Registry(
        deliver=deliver,
        observations=Observations(),
        settings=ControlSettings(),
        jitter=lambda: 0.0,
        topology=lambda: world,
    )
    registry.push({"a": {}}, 1, ElectionId(epoch=1, term=1), now_ms=0)
    registry.open("a", hello(), 0)
    alarms = [event.alarm for event in told if isinstance(event, events.AlarmRaised)]
    assert [alarm.kind for alarm in alarms] == ["INVENTORY_MISMATCH"]
    assert "interface 1" in alarms[0].message
    world.nodes = {"a": replace(NODE, interfaces=(), location="", capabilities=frozenset())}
    registry.tick(1)
    assert told[-1] == events.AlarmCleared(key=alarms[0].key)


def test_a_link_that_a_path_makes_is_no_difference_be_it_claimed_or_not() -> None:
    made = replace(LINK, name="made", path="p1")
    both = replace(CLAIM, links=(*CLAIM.links, InventoryLink(link="made", local_interface=0, neighbour="b")))
    assert inventory_differences(NODE, [LINK, made], CLAIM) == ()
    assert inventory_differences(NODE, [LINK, made], both) == ()
