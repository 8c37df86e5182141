"""A figure of a file: a number that says what it rests on and where it comes from."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from controller.config.section import Section
from controller.domain.link import Basis, Provenance
from controller.domain.names import is_label

BASES: Final[Mapping[str, Basis]] = {basis.value: basis for basis in Basis}
FORM: Final = "{value: ..., basis: measured|derived|assumed, source: ...}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A number and what it rests on."""

    value: float
    provenance: Provenance


def schema(root: Section, name: str, newest: int) -> int:
    """Read `schema` (must be `name`) and `version` (1..newest) of a file; return the version."""
    root.choice("schema", {name: name})
    version = root.integer("version", low=1)
    if version > newest:
        root.mistake("version", f"{version} is of a newer program; this one reads 1 to {newest}")
    return version


def sources(root: Section) -> Mapping[str, str]:
    """Read the file's `sources`: short names (DNS labels) for what many figures cite."""
    section = root.section("sources", required=False)
    return {name: section.text(name) for name in section.names()}


def provenance(section: Section, known: Mapping[str, str]) -> Provenance:
    """Read `basis` and `source` of a section; a source of one word must be one of the file's `sources`."""
    return Provenance(basis=section.choice("basis", BASES), source=source(section, known))


def source(section: Section, known: Mapping[str, str]) -> str:
    """Read `source` of a section."""
    text = section.text("source")
    # One word is taken for a short name, else a slip in one would pass for a source.
    if section.has("source") and is_label(text) and text not in known:
        names = ", ".join(sorted(known)) or "none"
        section.mistake("source", f"{text!r} is not among the file's sources ({names}), and one word is no source")
    return known.get(text, text)


def figure(
    section: Section,
    key: str,
    known: Mapping[str, str],
    *,
    low: float = -math.inf,
    high: float = math.inf,
    above: float = -math.inf,
) -> Figure:
    """Read a required figure `{value, basis, source}`."""
    return figure_here(section.section(key, form=FORM), known, low=low, high=high, above=above)


def figure_here(
    section: Section,
    known: Mapping[str, str],
    *,
    low: float = -math.inf,
    high: float = math.inf,
    above: float = -math.inf,
) -> Figure:
    """Read a section that is a figure itself, as an entry of a list."""
    return Figure(
        value=section.number("value", low=low, high=high, above=above),
        provenance=provenance(section, known),
    )
