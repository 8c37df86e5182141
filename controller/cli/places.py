"""Names that may be of a node or of a link."""

from collections.abc import Sequence

from controller.cli.connection import Network
from controller.cli.exits import Exit, Stop


def resolved(network: Network, names: Sequence[str]) -> list[str]:
    """Return full names; a short one is looked up among the nodes and the links.

    Raises:
        Stop: USAGE: it is the name of a node and of a link; REFUSED: of neither.
    """
    return [name if "/" in name else _resolved(network, name) for name in dict.fromkeys(names)]


def _resolved(network: Network, name: str) -> str:
    from qinet.northbound.v1 import topology_service_pb2 as pb

    only = f'name = "{name}"'
    nodes = network.topology.ListNodes(pb.ListNodesRequest(filter=only), timeout=network.timeout_s).nodes
    links = network.topology.ListLinks(pb.ListLinksRequest(filter=only), timeout=network.timeout_s).links
    found = [*(one.name for one in nodes), *(one.name for one in links)]
    if len(found) > 1:
        raise Stop(Exit.USAGE, f"{name} is a node and a link", f"next: write {' or '.join(found)}")
    if not found:
        raise Stop(
            Exit.REFUSED,
            f"there is no node and no link {name}",
            "next: `qinetctl get nodes` and `qinetctl get links` show what there is",
        )
    return found[0]
