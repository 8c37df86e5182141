"""topologies/*.yaml, schema version 1: a network, what its figures rest on, and how its modules are simulated."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from controller.config.figure import schema, sources
from controller.config.link_section import (
    FileDefaults,
    LinkSettings,
    LinkSimulation,
    ReadLink,
    SimulationSettings,
    read_link,
    read_settings,
    read_simulation,
)
from controller.config.node_section import ReadNode, read_node
from controller.config.profiles import ProfilesFile, profiles_file
from controller.config.section import Section, load
from controller.domain.link import Establishment, Link, LinkEnd, LinkKind, Provenance
from controller.domain.node import Interface, Node, Role, Technology

SCHEMA_VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TopologyFile:
    """A topology file that holds.

    Attributes:
        name: DNS label of the network.
        title: For people; may be empty.
        nodes, links: In the order of the file.
        simulations: By link name, one for each link that makes key.
        provenance: By resource (`nodes/a`, `links/a-b`), then by field name.
        suggested_ends: Two nodes between which a demonstration is worth seeing; None when the file names none.
    """

    name: str
    title: str
    nodes: tuple[Node, ...]
    links: tuple[Link, ...]
    simulations: Mapping[str, LinkSimulation]
    provenance: Mapping[str, Mapping[str, Provenance]]
    suggested_ends: tuple[str, str] | None


def load_topology(path: Path | str) -> TopologyFile:
    """Return the topology of the file.

    Raises:
        Mistakes: Every mistake of the file and of its profiles, as `file:line: field: what`.
    """
    return load(path, read_topology)


def read_topology(root: Section) -> TopologyFile:
    """Read the whole file; for `section.load`."""
    schema(root, "qinet-topology", SCHEMA_VERSION)
    name = root.label("name")
    title = root.text("title", default="")
    known = sources(root)
    named = root.include("profiles", profiles_file) if root.has("profiles") else ProfilesFile(modules={}, hardware={})
    defaults = FileDefaults(
        sources=known,
        profiles=named.modules if named else None,
        hardware=named.hardware if named else None,
        settings=read_settings(root.section("link_settings", required=False), LinkSettings()),
        simulation=read_simulation(root.section("simulation", required=False), SimulationSettings(), known),
    )
    nodes = [read_node(section, known, defaults.hardware) for section in root.sections("nodes")]
    links = [read_link(section, defaults) for section in root.sections("links")]
    if root.has("nodes") and root.sound and not nodes:
        root.mistake("nodes", "a network has at least one node")
    _note_repeated_names(nodes)
    _note_repeated_names(links)
    by_name: dict[str, Node | None] = {}
    for node in nodes:
        if node.name is not None:
            by_name.setdefault(node.name, node.node)
    for link in links:
        _note_wrong_ends(link, by_name)
    _note_doubly_used_interfaces(links)
    return TopologyFile(
        name=name,
        title=title,
        nodes=tuple(node.node for node in nodes if node.node is not None),
        links=tuple(link.link for link in links if link.link is not None),
        simulations=MappingProxyType(
            {link.link.name: link.simulation for link in links if link.link is not None and link.simulation is not None}
        ),
        provenance=_provenance(nodes, links),
        suggested_ends=_suggested_ends(root, by_name),
    )


def _note_repeated_names(found: Iterable[ReadNode | ReadLink]) -> None:
    first: dict[str, int] = {}
    for item in found:
        if item.name is None:
            continue
        if item.name in first:
            item.section.mistake("name", f"{item.name!r} is given twice, first in line {first[item.name]}")
        else:
            first[item.name] = item.section.line


def _note_wrong_ends(read: ReadLink, nodes: Mapping[str, Node | None]) -> None:
    interfaces: list[Interface] = []
    pairs = read.link is not None and read.link.kind is LinkKind.ENTANGLEMENT
    for section in read.ends:
        if not section.sound:
            continue
        name, number = section.label("node"), section.integer("interface")
        if name not in nodes:
            section.mistake("node", f"there is no node {name!r}")
        elif (node := nodes[name]) is not None:
            if (interface := node.interface(number)) is None:
                has = ", ".join(str(each.number) for each in node.interfaces) or "none"
                section.mistake("interface", f"{name} has no interface {number}; it has {has}")
            else:
                interfaces.append(interface)
                if pairs and interface.technology is not Technology.ENTANGLEMENT:
                    what = f"is of technology {interface.technology.value}; pairs need one of ENTANGLEMENT"
                    section.mistake("interface", what)
                elif pairs and node.pairs is None:
                    section.mistake("node", f"{name} has no section `entanglement` that says what it has for pairs")
    if len(interfaces) == 2:
        _note_incompatible(read, interfaces[0], interfaces[1])


def _note_incompatible(read: ReadLink, one: Interface, other: Interface) -> None:
    if one.technology is not other.technology:
        read.section.mistake("ends", f"{one.technology.value} does not work with {other.technology.value}")
    if one.role is other.role and one.role is not Role.TRANSCEIVER:
        read.section.mistake("ends", f"both ends are a {one.role.value}; their roles must be opposite")
    loss = read.link.loss_db if read.link else None
    for interface, section in zip((one, other), read.ends, strict=True):
        limit = interface.max_absorption_db
        if loss is not None and limit is not None and loss > limit:
            section.mistake("interface", f"it tolerates {limit:g} dB and the link loses {loss:g} dB")


def _note_doubly_used_interfaces(links: Iterable[ReadLink]) -> None:
    users: dict[LinkEnd, str] = {}
    for read in links:
        if read.link is None or read.link.establishment is not Establishment.ESTABLISHED:
            continue
        for section in read.ends:
            end = LinkEnd(node=section.label("node"), interface=section.integer("interface"))
            if end in users:
                what = f"interface {end.interface} of {end.node} already serves the established link {users[end]}"
                section.mistake("interface", what)
            else:
                users[end] = read.link.name


def _provenance(nodes: Iterable[ReadNode], links: Iterable[ReadLink]) -> Mapping[str, Mapping[str, Provenance]]:
    found: dict[str, Mapping[str, Provenance]] = {
        f"nodes/{node.name}": MappingProxyType(dict(node.provenance)) for node in nodes if node.name is not None
    }
    for read in links:
        if read.link is not None:
            simulated = {"simulation": read.simulation.provenance} if read.simulation else {}
            found[f"links/{read.link.name}"] = MappingProxyType({**read.link.provenance, **simulated})
    return MappingProxyType(found)


def _suggested_ends(root: Section, nodes: Mapping[str, Node | None]) -> tuple[str, str] | None:
    if not root.has("suggested"):
        return None
    section = root.section("suggested")
    source, target = section.label("source"), section.label("target")
    for key, name in (("source", source), ("target", target)):
        if section.has(key) and section.sound and name not in nodes:
            section.mistake(key, f"there is no node {name!r}")
    if section.sound and source == target:
        section.mistake("target", "is the source; a relay joins two nodes")
    return source, target
