"""From a topology file to what one agent is started with: its links, simulated modules and certificate."""

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from controller.config.mistakes import Mistakes
from controller.config.topology_file import TopologyFile, load_topology
from controller.domain.link import Establishment, Link
from controller.domain.node import Node
from controller.domain.pair_link import PairModel
from controller.domain.refusals import NotFound
from controller.identity.peers import Identity, Kind
from controller.identity.rotation import RotatingTls
from controller.identity.tls_files import Tls, files_in, load_tls
from southbound.agent.clock import SystemClock
from southbound.agent.drivers.module import Module
from southbound.agent.drivers.simulated import HISTORY_S, SimulatedChannel, SimulatedLink
from southbound.agent.module_settings import AgentFile, Gs014Settings, SimulatedSettings, load_agent_file, make_module
from southbound.agent.node import AgentPlan
from southbound.agent.pair_settings import PairSettings
from southbound.agent.uplink import ControllerAddress

log = logging.getLogger(__name__)


class SimulatedNetwork:
    """The network of a topology file, with one channel for each established link that makes key.

    Seeds follow from the names of network and link, so agents that were started apart from the same file agree.
    """

    def __init__(self, path: Path) -> None:
        """Read the file.

        Raises:
            Mistakes: It cannot be used; names every mistake.
        """
        self._path = path
        self._read_ns = path.stat().st_mtime_ns if path.exists() else 0
        self._topology = load_topology(path)
        self._channels: dict[str, SimulatedChannel] = {}
        self._pair_models: dict[str, PairModel] = {}
        self._add_channels()

    @property
    def topology(self) -> TopologyFile:
        """Return the file as it was read last."""
        return self._topology

    @property
    def channels(self) -> Mapping[str, SimulatedChannel]:
        """Return the channels, by link."""
        return self._channels

    @property
    def pair_models(self) -> Mapping[str, PairModel]:
        """Return what links do for entanglement, by link."""
        return self._pair_models

    def channel(self, link: str) -> SimulatedChannel | None:
        """Return a link's channel; None where the file has no such link, also after it was read again if it changed."""
        if link not in self._channels:
            self._read_again()
        return self._channels.get(link)

    def node(self, name: str) -> Node:
        """Return a node.

        Raises:
            NotFound: There is none of that name.
        """
        for node in self._topology.nodes:
            if node.name == name:
                return node
        known = ", ".join(each.name for each in self._topology.nodes)
        raise NotFound(f"nodes/{name}", hint=f"topology {self._topology.name} has {known}")

    def links_of(self, name: str) -> list[Link]:
        """Return the established links of a node, of either kind."""
        return [link for link in self._established() if name in link.nodes]

    def pair_model(self, link: str) -> PairModel | None:
        """Return what a link does for entanglement; None where the file, read again if it changed, has no such link."""
        if link not in self._pair_models:
            self._read_again()
        return self._pair_models.get(link)

    def _established(self) -> list[Link]:
        return [link for link in self._topology.links if link.establishment is Establishment.ESTABLISHED]

    def _read_again(self) -> None:
        # A link that was added to the file while agents run needs no restart; a mistake in it must not stop them.
        try:
            changed_ns = self._path.stat().st_mtime_ns
            if changed_ns == self._read_ns:
                return
            self._read_ns = changed_ns
            self._topology = load_topology(self._path)
        except (OSError, Mistakes) as problem:
            log.warning("topology file not taken over file=%s why=%s", self._path, problem)
            return
        self._add_channels()

    def _add_channels(self) -> None:
        for link in self._established():
            if link.pairs is not None:
                self._pair_models.setdefault(link.name, link.pairs)
            elif link.name not in self._channels:
                figures = self._topology.simulations[link.name]
                simulated = SimulatedLink(link=link.name, seed=self._topology.name, figures=figures)
                self._channels[link.name] = SimulatedChannel(simulated)


def node_tls(pki: Path, name: str) -> Tls:
    """Return a node's certificate, which must be valid now.

    Raises:
        TlsRefused: See there.
    """
    identity = Identity(Kind.NODE, name)
    return load_tls(files_in(pki, identity), now=datetime.now(UTC), expect=identity)


def agent_plan(
    network: SimulatedNetwork,
    name: str,
    *,
    pki: Path,
    controllers: Sequence[ControllerAddress],
    state_dir: Path,
    peer_listen: tuple[str, int] = ("127.0.0.1", 0),
    delivery_listen: tuple[str, int] = ("127.0.0.1", 0),
    advertised_host: str = "",
    history_s: float = HISTORY_S,
    config: Path | None = None,
) -> AgentPlan:
    """Return what the agent of a node is started with; see `AgentPlan` and `SimulatedModule`.

    `config` is the agent's own configuration file: what it does not name has a simulated module.

    Raises:
        Mistakes: The configuration file cannot be used.
        NotFound: The topology has no such node.
        TlsRefused: Its certificate, or a file for a module's key source, cannot be used.
    """
    node = network.node(name)
    clock = SystemClock()
    links = network.links_of(name)
    file = AgentFile(modules={}, pairs=PairSettings(hardware=node.pairs))
    if config is not None:
        file = load_agent_file(config, name, links, hardware=node.pairs)
    drivers = file.modules
    for settings in drivers.values():
        if isinstance(settings, Gs014Settings):
            settings.access.context()  # what is wrong is found now, and not when the first key is fetched

    def find_module(link: str) -> Module | None:
        settings = drivers.get(link, SimulatedSettings())
        return make_module(link, settings, clock, channel=network.channel, history_s=history_s)

    def find_pair_model(link: str) -> PairModel | None:
        return file.pairs.models.get(link) or network.pair_model(link)

    return AgentPlan(
        node=node,
        links=links,
        find_module=find_module,
        pair_hardware=file.pairs.hardware,
        find_pair_model=find_pair_model,
        tls=RotatingTls(node_tls(pki, name)),
        controllers=controllers,
        state_dir=state_dir,
        peer_listen=peer_listen,
        delivery_listen=delivery_listen,
        advertised_host=advertised_host,
        clock=clock,
        ledger_retention_s=file.ledger_retention_s,
        simulation_seed=network.topology.name,
    )
