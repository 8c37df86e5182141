"""One node of a topology file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from controller.config.figure import figure, provenance
from controller.config.node_pairs import read_node_pairs
from controller.config.pair_profiles import PairProfile
from controller.config.section import UINT32_MAX, Section
from controller.domain.link import Provenance
from controller.domain.node import Capability, Interface, Node, Role, Technology

_CAPABILITIES: Final = {capability.value: capability for capability in Capability}
_TECHNOLOGIES: Final = {technology.value: technology for technology in Technology}
_ROLES: Final = {role.value: role for role in Role}
_DEFAULT_CAPABILITIES: Final = (Capability.KEY_RELAY, Capability.KEY_DELIVERY)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadNode:
    """A node as far as it could be read.

    Attributes:
        section: Where it stands.
        name: Its name; None when that is not usable.
        node: None when anything in it is wrong.
        provenance: By field name, of its figures.
    """

    section: Section
    name: str | None
    node: Node | None
    provenance: Mapping[str, Provenance]


def read_node(section: Section, known: Mapping[str, str], hardware: Mapping[str, PairProfile] | None) -> ReadNode:
    """Read one entry of `nodes`.

    Args:
        section: The entry.
        known: The file's sources.
        hardware: Kinds of repeater hardware; None when their file has mistakes, which are told already.
    """
    name = section.label("name")
    named = section.sound
    origins: dict[str, Provenance] = {}
    longitude, latitude = _position(section, known, origins)
    location = section.text("location", default="", max_length=255)
    trust_domain = section.label("trust_domain", default="")
    capabilities = section.choices("capabilities", _CAPABILITIES, default=_DEFAULT_CAPABILITIES)
    admin_enabled = section.boolean("admin_enabled", default=True)
    maintenance = section.boolean("maintenance", default=False)
    parts = section.sections("interfaces", required=False)
    interfaces = tuple(_interface(part, known, origins) for part in parts)
    _note_repeated_numbers(parts, interfaces)
    pairs = None
    if section.has("entanglement"):
        pairs, of_pairs = read_node_pairs(section.section("entanglement"), known, hardware)
        origins |= of_pairs
    if Capability.ENTANGLEMENT in capabilities and pairs is None and section.sound:
        section.mistake("capabilities", "of entanglement need a section `entanglement` that says what the node has")
    if pairs is not None:
        capabilities = (*capabilities, Capability.ENTANGLEMENT)
    node = section.build(
        lambda: Node(
            name=name,
            location=location,
            trust_domain=trust_domain,
            capabilities=frozenset(capabilities),
            interfaces=tuple(interface for interface in interfaces if interface is not None),
            longitude_deg=longitude,
            latitude_deg=latitude,
            admin_enabled=admin_enabled,
            maintenance=maintenance,
            pairs=pairs,
        )
    )
    return ReadNode(section=section, name=name if named else None, node=node, provenance=origins)


def _position(
    section: Section, known: Mapping[str, str], origins: dict[str, Provenance]
) -> tuple[float | None, float | None]:
    if not section.has("position"):
        return None, None
    position = section.section("position", form="{longitude_deg: ..., latitude_deg: ..., basis: ..., source: ...}")
    longitude = position.number("longitude_deg", low=-180, high=180)
    latitude = position.number("latitude_deg", low=-90, high=90)
    origins["longitude_deg"] = origins["latitude_deg"] = provenance(position, known)
    return longitude, latitude


def _interface(section: Section, known: Mapping[str, str], origins: dict[str, Provenance]) -> Interface | None:
    number = section.integer("number")
    technology = section.choice("technology", _TECHNOLOGIES)
    role = section.choice("role", _ROLES, default=Role.TRANSCEIVER)
    model = section.text("model", default="", max_length=255)
    absorption = None
    if section.has("max_absorption_db"):
        read = figure(section, "max_absorption_db", known, low=0, high=999)
        absorption = read.value
        origins[f"interfaces/{number}/max_absorption_db"] = read.provenance
    wavelengths = section.text("wavelength_range", default="", max_length=255)
    device = section.text("device", default="", max_length=255)
    port = section.integer("port", default=0, high=UINT32_MAX)
    return section.build(
        lambda: Interface(
            number=number,
            technology=technology,
            role=role,
            model=model,
            max_absorption_db=absorption,
            wavelength_range=wavelengths,
            device=device,
            port=port,
        )
    )


def _note_repeated_numbers(parts: Sequence[Section], interfaces: Sequence[Interface | None]) -> None:
    first: dict[int, int] = {}
    for section, interface in zip(parts, interfaces, strict=True):
        if interface is not None:
            line = first.setdefault(interface.number, section.line)
            if line != section.line:
                section.mistake("number", f"{interface.number} is given twice, first in line {line}")
