"""From a topology file to what one agent is started with: its links, simulated modules and certificate."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from controller.config.topology_file import TopologyFile
from controller.domain.link import Establishment
from controller.domain.node import Node
from controller.domain.refusals import NotFound
from controller.identity.peers import Identity, Kind
from controller.identity.tls_files import Tls, files_in, load_tls
from southbound.agent.clock import SystemClock
from southbound.agent.drivers.simulated import HISTORY_S, SimulatedChannel, SimulatedLink, SimulatedModule
from southbound.agent.node import AgentPlan
from southbound.agent.uplink import ControllerAddress


def channels_of(topology: TopologyFile) -> dict[str, SimulatedChannel]:
    """Return a simulated channel for each established link.

    Seeds follow from the names of network and link, so agents that were started apart from the same file agree.
    """
    return {
        link.name: SimulatedChannel(
            SimulatedLink(link=link.name, seed=topology.name, figures=topology.simulations[link.name])
        )
        for link in topology.links
        if link.establishment is Establishment.ESTABLISHED
    }


def node_of(topology: TopologyFile, name: str) -> Node:
    """Return a node of the topology.

    Raises:
        NotFound: It has no node of that name.
    """
    for node in topology.nodes:
        if node.name == name:
            return node
    raise NotFound(f"nodes/{name} (topology {topology.name} has: {', '.join(each.name for each in topology.nodes)})")


def node_tls(pki: Path, name: str) -> Tls:
    """Return a node's certificate, which must be valid now.

    Raises:
        TlsRefused: See there.
    """
    identity = Identity(Kind.NODE, name)
    return load_tls(files_in(pki, identity), now=datetime.now(UTC), expect=identity)


def agent_plan(
    topology: TopologyFile,
    name: str,
    *,
    channels: Mapping[str, SimulatedChannel],
    pki: Path,
    controllers: Sequence[ControllerAddress],
    state_dir: Path,
    peer_listen: tuple[str, int] = ("127.0.0.1", 0),
    delivery_listen: tuple[str, int] = ("127.0.0.1", 0),
    advertised_host: str = "",
    history_s: float = HISTORY_S,
) -> AgentPlan:
    """Return what the agent of a node is started with; see `AgentPlan` and `SimulatedModule`.

    Raises:
        NotFound: The topology has no such node.
        TlsRefused: Its certificate cannot be used.
    """
    node = node_of(topology, name)
    clock = SystemClock()
    links = [link for link in topology.links if name in link.nodes and link.name in channels]
    return AgentPlan(
        node=node,
        links=links,
        modules={link.name: SimulatedModule(channels[link.name], clock, history_s=history_s) for link in links},
        tls=node_tls(pki, name),
        controllers=controllers,
        state_dir=state_dir,
        peer_listen=peer_listen,
        delivery_listen=delivery_listen,
        advertised_host=advertised_host,
        clock=clock,
    )
