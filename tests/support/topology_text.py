"""Topology files for tests: links given by name, all alike and cheap to run."""

from collections.abc import Iterable, Mapping


def topology_yaml(
    name: str,
    links: Iterable[tuple[str, str, str]],
    *,
    alone: Iterable[str] = (),
    skr_bit_per_s: float = 20_000,
    narrow_bit_per_s: Mapping[str, float] | None = None,
    block_s: float = 1.0,
) -> str:
    """Return a topology file.

    Args:
        name: Of the network.
        links: As (name, node, node); nodes are made of them.
        alone: Nodes without links.
        skr_bit_per_s: Secret key rate of every link.
        narrow_bit_per_s: Another rate, by link.
        block_s: Length of a block.
    """
    narrow = narrow_bit_per_s or {}
    interfaces: dict[str, int] = dict.fromkeys(alone, 0)
    link_lines: list[str] = []
    for link, *ends in links:
        joined = []
        for end in ends:
            interfaces[end] = interfaces.get(end, 0) + 1
            joined.append(f"{{node: {end}, interface: {interfaces[end]}}}")
        figure = "basis: assumed, source: test"
        link_lines.append(
            f"  - {{name: {link}, ends: [{', '.join(joined)}], "
            f"skr_bit_per_s: {{value: {narrow.get(link, skr_bit_per_s):g}, {figure}}}, "
            f"qber: {{value: 0.02, {figure}}}}}"
        )
    node_lines = []
    for node, number in interfaces.items():
        own = ", ".join(f"{{number: {each + 1}, technology: DV-QKD}}" for each in range(number))
        node_lines.append(f"  - {{name: {node}, interfaces: [{own}]}}")
    return "\n".join(
        [
            "schema: qinet-topology",
            "version: 1",
            f"name: {name}",
            "sources: {test: chosen for a test}",
            "link_settings: {authentication_rate_bit_per_s: 10, authentication_floor_bit: 4096}",
            f"simulation: {{block_s: {block_s:g}, basis: assumed, source: test}}",
            "nodes:",
            *node_lines,
            "links:",
            *link_lines,
            "",
        ]
    )
