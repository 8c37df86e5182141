"""The agent's own configuration file: which driver each of its links has, how that is set, and its pair hardware."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from controller.config.section import Section, load
from controller.domain.link import Link
from controller.domain.pair_link import PairHardware
from southbound.agent.clock import Clock
from southbound.agent.drivers.gs014.client import Access
from southbound.agent.drivers.gs014.module import Gs014Module
from southbound.agent.drivers.gs014.steps import LEAST_BLOCK_BIT, MAX_BLOCK_BIT, MAX_KEYS, MIN_KEY_BIT, Upstream
from southbound.agent.drivers.module import Module
from southbound.agent.drivers.simulated import HISTORY_S, SimulatedChannel, SimulatedModule
from southbound.agent.pair_settings import PairSettings, read_pair_settings
from southbound.agent.storage import LEDGER_RETENTION_S

_LONGEST_S: Final = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedSettings:
    """What is set of a simulated module; None: as the topology file has it. Both ends must have the same.

    Attributes:
        seed: Of its bits; the topology's name where it is not set.
        epoch_ms: When block 0 ended; wall clock.
        history_s: How long the module of a never-used store has run; that of the command line where it is not set.
        qber_drift, drift_period_s, rate_spread, recalibration_every_s, recalibration_s: As in LinkSimulation.
    """

    seed: str | None = None
    epoch_ms: int | None = None
    history_s: float | None = None
    qber_drift: float | None = None
    drift_period_s: float | None = None
    rate_spread: float | None = None
    recalibration_every_s: float | None = None
    recalibration_s: float | None = None

    def channel(self, channel: SimulatedChannel) -> SimulatedChannel:
        """Return the channel of these modules, given that of the topology: the same where nothing of it is set."""
        link = channel.link
        named = ("qber_drift", "drift_period_s", "rate_spread", "recalibration_every_s", "recalibration_s")
        figures = {name: value for name in named if (value := getattr(self, name)) is not None}
        if not figures and self.seed is None and self.epoch_ms is None:
            return channel
        changed = replace(
            link,
            seed=link.seed if self.seed is None else self.seed,
            epoch_ms=link.epoch_ms if self.epoch_ms is None else self.epoch_ms,
            figures=replace(link.figures, **figures),
        )
        return SimulatedChannel(changed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gs014Settings:
    """A GS QKD 014 source as module; `master` names the node that fetches first, "" for the smaller name."""

    access: Access
    upstream: Upstream
    master: str = ""


ModuleSettings = SimulatedSettings | Gs014Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentFile:
    """An agent's configuration file.

    Attributes:
        modules: What it sets of the node's modules, by link.
        ledger_retention_s: See `Storage.trim`.
        pairs: What the node and its links truly have for entanglement.
    """

    modules: Mapping[str, ModuleSettings]
    ledger_retention_s: float = LEDGER_RETENTION_S
    pairs: PairSettings = field(default_factory=PairSettings)


def load_agent_file(
    path: Path, node: str, links: Collection[Link], *, hardware: PairHardware | None = None
) -> AgentFile:
    """Return what the file says.

    Args:
        path: Of the file.
        node: Whose file it is.
        links: The node's, as the topology has them.
        hardware: What the topology says that the node has for entanglement.

    Raises:
        Mistakes: Every mistake of the file.
    """
    return load(path, partial(_read_file, node=node, links=links, hardware=hardware))


def load_module_settings(path: Path, node: str, links: Collection[Link]) -> Mapping[str, ModuleSettings]:
    """Return what the file sets of a node's modules, by link.

    Raises:
        Mistakes: Every mistake of the file.
    """
    return load_agent_file(path, node, links).modules


def _read_file(section: Section, *, node: str, links: Collection[Link], hardware: PairHardware | None) -> AgentFile:
    retention_s = section.number("ledger_retention_s", low=3600, high=_LONGEST_S, default=LEDGER_RETENTION_S)
    pairs = section.section("entanglement", required=False)
    return AgentFile(
        modules=_read(section, node=node, links=[link for link in links if link.pairs is None]),
        ledger_retention_s=retention_s,
        pairs=read_pair_settings(pairs, node=node, hardware=hardware, links=links),
    )


def make_module(
    link: str,
    settings: ModuleSettings,
    clock: Clock,
    *,
    channel: Callable[[str], SimulatedChannel | None],
    history_s: float = HISTORY_S,
) -> Module | None:
    """Return the module of a link; None where the topology has no channel for one that is simulated."""
    match settings:
        case Gs014Settings(access=access, upstream=upstream, master=master):
            return Gs014Module(link, access, upstream, clock, master=master)
        case SimulatedSettings():
            found = channel(link)
            if found is None:
                return None
            past_s = history_s if settings.history_s is None else settings.history_s
            return SimulatedModule(settings.channel(found), clock, history_s=past_s)


def _read(section: Section, *, node: str, links: Collection[Link]) -> Mapping[str, ModuleSettings]:
    holder = section.section("modules", required=False)
    interfaces = {str(end.interface): link.name for link in links for end in link.ends if end.node == node}
    ends = {link.name: link.nodes for link in links}
    found: dict[str, ModuleSettings] = {}
    for name in holder.names():
        own = holder.section(name)
        link = name if name in ends else interfaces.get(name)
        settings = _DRIVERS[own.choice("driver", {driver: driver for driver in _DRIVERS})](own)
        if link is None:
            known = ", ".join(sorted(ends)) or "none"
            holder.mistake(name, f"is neither a link nor an interface with a link of {node}; its links are {known}")
        elif link in found:
            holder.mistake(name, f"link {link} is set already, by its name or its interface")
        else:
            found[link] = settings
            master = settings.master if isinstance(settings, Gs014Settings) else ""
            if master and master not in ends[link]:
                own.mistake("master", f"{master} is no end of {link}: name one of {', '.join(ends[link])}")
    return MappingProxyType(found)


def _simulated(section: Section) -> SimulatedSettings:
    def number(key: str, *, high: float, above: float | None = None) -> float | None:
        if not section.has(key):
            return None
        return section.number(key, low=0, high=high) if above is None else section.number(key, above=above, high=high)

    settings = SimulatedSettings(
        seed=section.text("seed") if section.has("seed") else None,
        epoch_ms=section.integer("epoch_ms", high=2**53) if section.has("epoch_ms") else None,
        history_s=number("history_s", high=_LONGEST_S),
        qber_drift=number("qber_drift", high=0.5),
        drift_period_s=number("drift_period_s", above=0, high=_LONGEST_S),
        rate_spread=number("rate_spread", high=0.5),
        recalibration_every_s=number("recalibration_every_s", high=_LONGEST_S),
        recalibration_s=number("recalibration_s", high=86_400),
    )
    every_s, lasts_s = settings.recalibration_every_s, settings.recalibration_s
    if section.sound and every_s and lasts_s is not None and every_s <= lasts_s:
        section.mistake("recalibration_s", "is not shorter than recalibration_every_s: the link would never make key")
    return settings


def _gs014(section: Section) -> Gs014Settings:
    url = section.text("url")
    if section.has("url") and not _is_base(url):
        section.mistake("url", f"{url!r} is not https://HOST[:PORT][/PATH], up to what comes before /api")
    size_bit = (
        section.integer("key_size_bit", low=MIN_KEY_BIT, high=MAX_BLOCK_BIT) if section.has("key_size_bit") else None
    )
    if size_bit is not None and size_bit % 8:
        section.mistake("key_size_bit", f"{size_bit} is no multiple of 8")
    sae, peer_sae = section.text("sae", max_length=256), section.text("peer_sae", max_length=256)
    if section.sound and sae == peer_sae:
        section.mistake("peer_sae", "is our own: name the SAE id of the other end")
    server_name = section.text("server_name", default="", max_length=253)
    if server_name and not _is_host(server_name):
        section.mistake(
            "server_name", f"{server_name!r} is no name of a host: give the one in the source's certificate"
        )
    access = Access(
        url=url,
        peer_sae=peer_sae,
        certificate=section.path("certificate"),
        key=section.path("key"),
        ca=section.path("ca"),
        server_name=server_name,
        timeout_s=section.number("timeout_s", above=0, high=300, default=5.0),
    )
    defaults = Upstream(sae=sae, peer_sae=peer_sae)
    upstream = replace(
        defaults,
        key_size_bit=size_bit,
        keys_per_block=section.integer("keys_per_block", low=1, high=MAX_KEYS, default=defaults.keys_per_block),
        poll_s=section.number("poll_s", low=0.01, high=3600, default=defaults.poll_s),
        down_after=section.integer("down_after", low=1, high=1000, default=defaults.down_after),
        quiet_s=section.number("quiet_s", above=0, high=_LONGEST_S, default=defaults.quiet_s),
        store_bit=section.integer("store_bit", low=2 * LEAST_BLOCK_BIT, high=1 << 26, default=defaults.store_bit),
    )
    master = section.label("master") if section.has("master") else ""
    return Gs014Settings(access=access, upstream=upstream, master=master)


def _is_base(url: str) -> bool:
    try:
        parts = urlsplit(url)
        has_port = parts.port != 0
    except ValueError:
        return False
    more = parts.query or parts.fragment or parts.username or parts.password
    return parts.scheme == "https" and _is_host(parts.hostname or "") and has_port and not more


def _is_host(text: str) -> bool:
    """Tell whether a text may be a host's name or address, as far as that can be told without looking it up."""
    try:
        return bool(text.encode("idna")) and not any(char.isspace() or char in "/%@" for char in text)
    except UnicodeError:
        return False


_DRIVERS: Final[Mapping[str, Callable[[Section], ModuleSettings]]] = MappingProxyType(
    {"simulated": _simulated, "gs014": _gs014}
)
