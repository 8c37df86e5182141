"""A planned network as the text of a topology file."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from controller.config.document import MAX_FILE_BYTES
from controller.config.foreign.plan import AUTHENTICATION_BIT_PER_S, Building, Plan, PlannedLink, PlannedNode
from controller.config.mistakes import Mistake, Mistakes
from controller.config.pair_profiles import PairProfile

_WHOLE, _SPLIT = "", "-spans"
PAIRS_PER_LINK: Final = 16
"""Memory pairs that every imported link works on, where it makes pairs."""
BRIGHT_STATES: Final = (0.02, 0.05, 0.1)


def topology_text(
    plan: Plan,
    building: Building,
    *,
    name: str,
    title: str,
    source: str,
    profiles: str,
    warnings: Sequence[str] = (),
) -> str:
    """Return the file.

    Args:
        plan: What it holds.
        building: What the plan was made with.
        name: Of the network: a DNS label.
        title: For people.
        source: Where the network comes from.
        profiles: Path of the profiles file, as it shall stand.
        warnings: Told in the file's head.

    Raises:
        Mistakes: It would be larger than a topology file may be.
    """
    text = "\n".join(_lines(plan, building, name, title, source, profiles, warnings)) + "\n"
    if (size := len(text.encode())) > MAX_FILE_BYTES:
        what = f"would become a file of {size} bytes, and {MAX_FILE_BYTES} are the most: give a larger --max-span-km"
        raise Mistakes([Mistake(file=source, line=0, field="", what=what)])
    return text


def _lines(  # noqa: PLR0917
    plan: Plan, building: Building, name: str, title: str, source: str, profiles: str, warnings: Sequence[str]
) -> Iterator[str]:
    relays = sum(not node.label for node in plan.nodes)
    yield f"# Imported from {source}: {len(plan.nodes) - relays} nodes."
    yield f"# {relays} relays were inserted, so that no span is longer than {_number(building.max_span_km)} km."
    yield "# Rates are derived."
    for warning in warnings:
        yield f"# {warning}."
    yield "# Schema: docs/topologies.md."
    yield "schema: qinet-topology"
    yield "version: 1"
    yield f"name: {_quoted(name)}"
    yield f"title: {_quoted(title)}"
    yield f"profiles: {_quoted(profiles)}"
    yield ""
    yield "sources:"
    sources = _sources(plan, building, source)
    for key, what in sources.items():
        yield f"  {key}: {_quoted(what)}"
    yield ""
    if plan.suggested:
        yield f"suggested: {{source: {_quoted(plan.suggested[0])}, target: {_quoted(plan.suggested[1])}}}"
        yield ""
    if not isinstance(building.profile, PairProfile):
        yield from (
            "link_settings:",
            f"  authentication_rate_bit_per_s: {_number(AUTHENTICATION_BIT_PER_S)}",
            "  authentication_floor_bit: 65536",
            "",
            "simulation:",
            "  qber_drift: 0.002",
            "  drift_period_s: 1800",
            "  rate_spread: 0.05",
            "  basis: assumed",
            "  source: round",
            "",
        )
    yield "nodes:"
    for node in plan.nodes:
        yield from _node(node, building)
    yield ""
    yield "links: []" if not plan.links else "links:"
    for link in plan.links:
        yield from _link(link, building)


def _sources(plan: Plan, building: Building, source: str) -> Mapping[str, str]:
    found = {"round": "round figure of the import", "data": f"position in {source}"}
    if any(not node.label and node.position for node in plan.nodes):
        found["interpolated"] = "on the great circle between the ends of the link that was split"
    found["attenuation"] = (
        f"{_number(building.attenuation_db_per_km)} dB/km for every fibre, as the import was told; 0.22-0.35 are seen"
    )
    for link in plan.links:
        found.setdefault(_length_source(link), _length_words(link, building, source))
    return found


def _length_source(link: PlannedLink) -> str:
    kind = "default" if link.measure is None else "length" if link.measure else "great-circle"
    return kind + (_WHOLE if link.spans == 1 else _SPLIT)


def _length_words(link: PlannedLink, building: Building, source: str) -> str:
    if link.measure is None:
        words = "the default length that the import was told"
    elif link.measure:
        words = f"length of the link in {source}"
    else:
        words = f"great-circle distance between the positions in {source}"
    split = f", divided evenly into spans of at most {_number(building.max_span_km)} km"
    return words if link.spans == 1 else words + split


def _node(node: PlannedNode, building: Building) -> Iterator[str]:
    pairs = isinstance(building.profile, PairProfile)
    comment = f"  # {node.label}" if node.label and node.label.lower() != node.name else ""
    yield f"  - name: {_quoted(node.name)}{comment}"
    if not node.label:
        yield f"    capabilities: [{'entanglement' if pairs else 'key_relay'}]"
    if node.position:
        longitude, latitude = map(_number, node.position)
        origin = "basis: assumed, source: data" if node.label else "basis: derived, source: interpolated"
        yield f"    position: {{longitude_deg: {longitude}, latitude_deg: {latitude}, {origin}}}"
    if node.interfaces:
        yield "    interfaces:"
    for number, transmitter in enumerate(node.interfaces, 1):
        role = "TRANSMITTER" if transmitter else "RECEIVER"
        what = "technology: ENTANGLEMENT" if pairs else f"technology: DV-QKD, role: {role}"
        yield f"      - {{number: {number}, {what}}}"
    if pairs:
        use = ", end_node: computer" if node.label else ""
        memories = PAIRS_PER_LINK * max(1, len(node.interfaces))
        yield f"    entanglement: {{profile: {_quoted(building.profile.name)}, memories: {memories}{use}}}"


def _link(link: PlannedLink, building: Building) -> Iterator[str]:
    ends = ", ".join(f"{{node: {_quoted(node)}, interface: {interface}}}" for node, interface in link.ends)
    basis = "assumed" if link.measure is None else "derived"
    profile = building.profile
    yield f"  - name: {_quoted(link.name)}"
    if isinstance(profile, PairProfile):
        yield "    kind: ENTANGLEMENT"
    yield f"    ends: [{ends}]"
    yield f"    length_km: {{value: {_number(link.length_km)}, basis: {basis}, source: {_length_source(link)}}}"
    attenuation = _number(building.attenuation_db_per_km)
    yield f"    loss_db: {{derive: fibre, attenuation_db_per_km: {attenuation}, source: attenuation}}"
    if isinstance(profile, PairProfile):
        yield from _pairs(profile)
    else:
        yield f"    skr_bit_per_s: {{derive: {profile.model}, profile: {_quoted(profile.name)}}}"


def _pairs(profile: PairProfile) -> Iterator[str]:
    how = f"derive: {profile.scheme}, profile: {_quoted(profile.name)}"
    yield f"    entanglement: {{regime: memory, memory_pairs: {PAIRS_PER_LINK}, {how}" + (
        "}" if profile.scheme == "double-click" else ","
    )
    if profile.scheme == "single-click":
        states = ", ".join(f"{{value: {_number(each)}, basis: assumed, source: round}}" for each in BRIGHT_STATES)
        yield f"      bright_states: [{states}]}}"


_PLAIN: Final = frozenset("abcdefghijklmnopqrstuvwxyz-")


def _quoted(text: str) -> str:
    """Return the text as YAML takes it for text: in quotes where a reader might see anything else in it."""
    words = {"", "true", "false", "yes", "no", "on", "off", "null", "y", "n", "inf", "nan"}
    if text and set(text) <= _PLAIN and text[0] != "-" and text not in words:
        return text
    return json.dumps(text, ensure_ascii=False)


def _number(value: float) -> str:
    """Return a number without an exponent, to a millimetre's worth of digits.

    >>> _number(80.0), _number(63.075), _number(1e-7), _number(-0.0)
    ('80', '63.075', '0', '0')
    """
    text = f"{value:.6f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
