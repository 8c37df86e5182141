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
    pairs: Iterable[tuple[str, str, str]] = (),
) -> str:
    """Return a topology file.

    Args:
        name: Of the network.
        links: As (name, node, node); nodes are made of them.
        alone: Nodes without links.
        skr_bit_per_s: Secret key rate of every link.
        narrow_bit_per_s: Another rate, by link.
        block_s: Length of a block.
        pairs: Links that make pairs, a few a second; where there are some, every node has memories.
    """
    narrow = narrow_bit_per_s or {}
    interfaces: dict[str, list[str]] = {node: [] for node in alone}
    figure = "basis: assumed, source: test"

    def joined(ends: Iterable[str], technology: str) -> str:
        told = []
        for end in ends:
            own = interfaces.setdefault(end, [])
            own.append(f"{{number: {len(own) + 1}, technology: {technology}}}")
            told.append(f"{{node: {end}, interface: {len(own)}}}")
        return ", ".join(told)

    link_lines = [
        f"  - {{name: {link}, ends: [{joined(ends, 'DV-QKD')}], "
        f"skr_bit_per_s: {{value: {narrow.get(link, skr_bit_per_s):g}, {figure}}}, "
        f"qber: {{value: 0.02, {figure}}}}}"
        for link, *ends in links
    ]
    option = f"{{success_probability: {{value: 0.05, {figure}}}, fidelity: {{value: 0.98, {figure}}}}}"
    pair_lines = [
        f"  - {{name: {link}, kind: ENTANGLEMENT, ends: [{joined(ends, 'ENTANGLEMENT')}], entanglement: {{"
        f"regime: memory, memory_pairs: 4, attempt_period_s: {{value: 0.01, {figure}}}, options: [{option}]}}}}"
        for link, *ends in pairs
    ]
    memories = ", entanglement: {memories: 32}" if pair_lines else ""
    node_lines = [f"  - {{name: {node}, interfaces: [{', '.join(own)}]{memories}}}" for node, own in interfaces.items()]
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
            *pair_lines,
            "",
        ]
    )
