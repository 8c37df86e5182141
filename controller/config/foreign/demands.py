"""The demands of a foreign network as a script that creates key relays."""

import shlex
from collections.abc import Mapping

from controller.config.foreign.graph import ForeignGraph


def demands_script(graph: ForeignGraph, names: Mapping[str, str], *, network: str, bit_per_s: float) -> str:
    """Return a shell script of `qinetctl relay create` lines, the largest demand first.

    It goes on after a refusal, tells how many there were, and is safe to repeat: each line has a request id.

    Args:
        graph: Of which the demands are taken.
        names: Of the nodes in the topology file, by key.
        network: Name of the network; a DNS label.
        bit_per_s: Key rate of one unit of demand; > 0.
    """
    largest_first = sorted(
        graph.demands.items(), key=lambda demand: (-demand[1], names[demand[0][0]], names[demand[0][1]])
    )
    lines = [
        "#!/bin/sh",
        f"# {len(largest_first)} demands of {graph.source}, the largest first.",
        f"# One unit is {_rate(bit_per_s)} bit/s of key, both directions together.",
        "# Safe to repeat: each line has its request id.",
        "# Options given to this script go to every line, as --accept-blocked.",
        "refused=0",
        "options=$*",
        'create() { qinetctl relay create "$@" $options >/dev/null || refused=$((refused + 1)); }',
        "",
    ]
    for number, (pair, amount) in enumerate(largest_first, 1):
        source, target = sorted(names[key] for key in pair)
        demand = f"demand-{number:05}"
        request = shlex.quote(f"{network}-{demand}-{_rate(amount * bit_per_s)}")
        rate = _rate(amount * bit_per_s)
        lines.append(f"create {source} {target} --rate {rate} --name {demand} --request-id {request}")
    lines += [
        "",
        'if [ "$refused" -gt 0 ]; then',
        f'    echo "$refused of {len(largest_first)} demands were refused" >&2',
        "    exit 3",
        "fi",
    ]
    return "\n".join(lines) + "\n"


def _rate(bit_per_s: float) -> str:
    """Return a rate to a millibit per second.

    >>> _rate(34.0), _rate(0.5), _rate(1e6)
    ('34', '0.5', '1000000')
    """
    return f"{max(bit_per_s, 0.001):.3f}".rstrip("0").rstrip(".")
