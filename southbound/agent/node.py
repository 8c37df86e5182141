"""One node's agent: its store, key plane, peers, modules, key delivery and uplink, put together."""

import asyncio
import json
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from controller.domain.link import Link, LinkKind
from controller.domain.node import Node
from controller.domain.pair_link import PairHardware, PairModel
from controller.domain.snapshot import ElectionId
from controller.identity.credentials import AnyTls, https_server_context
from controller.wire.southbound import capability_to_pb, election_to_pb, interface_to_pb
from qinet.southbound.v1 import agent_pb2 as pb
from southbound.agent import configuration as rules
from southbound.agent.alarms import CLOCK_LOST, Alarms
from southbound.agent.clock import CarriedWall, Clock, ServiceTime, SystemClock
from southbound.agent.configuration import Accepted, Configuration, Update
from southbound.agent.delivery.server import DeliveryServer
from southbound.agent.desk import NodeDesk
from southbound.agent.drivers.distilled import DistilledModule
from southbound.agent.drivers.module import Module
from southbound.agent.key_room import KeyRoom, Notice
from southbound.agent.keyplane.events import (
    Answer,
    ClearAlarm,
    Configure,
    Event,
    Figures,
    GetKeys,
    GetKeysById,
    KeyStatus,
    RaiseAlarm,
)
from southbound.agent.keyplane.plane import KeyPlane
from southbound.agent.lab_hooks import LabHooks
from southbound.agent.listening import ListenRefused, require_free, why_not
from southbound.agent.modules import MODULE_MISSING, Modules
from southbound.agent.notices import Notices
from southbound.agent.pair_desk import PairDesk, PairPlan
from southbound.agent.pair_entries import PairMeans
from southbound.agent.pair_faults import PairFaults
from southbound.agent.pair_room import PairRoom
from southbound.agent.peers import Peers, PeerStream
from southbound.agent.reports import LinkState, StarvationWatch, Totals, link_report, relay_report, relay_reports
from southbound.agent.storage import LEDGER_RETENTION_S, DropEntry, PutEntry, PutValue, Storage, Write, refused
from southbound.agent.uplink import ControllerAddress, Uplink

log = logging.getLogger(__name__)

VERSION: Final = "0.1.0"
_CANCEL_AGAIN_S: Final = 1.0
_TRIM_EVERY_S: Final = 300.0
_TRIM_PAUSE_S: Final = 0.1
_ORPHAN_CHECK_S: Final = 1.0
_KEEP_TOTALS_S: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentPlan:
    """What an agent is started with.

    Attributes:
        node: As the topology has it: name, location, capabilities, interfaces.
        links: The node's own, as its inventory.
        find_module: Gives the module of a link; None where the node has none for it.
        pair_hardware: What the node truly has for entanglement; None for nothing.
        find_pair_model: Gives what a link truly does for entanglement; None where the node knows of none.
        tls: The node's certificate.
        controllers: At least one; tried in turn.
        state_dir: Of this agent alone.
        peer_listen, delivery_listen: Host and port; port 0 takes the last one again if it is free, else any.
        advertised_host: Where others reach this node; "" for the host that is listened on.
        ledger_retention_s: How long lines of the ledger are kept.
        hooks: What a laboratory may do to the agent; None outside of one.
        pair_faults: Those in force on its links of pairs.
        simulation_seed: Of the key that is made of pairs; both ends of a path have the same.
    """

    node: Node
    links: Sequence[Link]
    find_module: Callable[[str], Module | None]
    tls: AnyTls
    controllers: Sequence[ControllerAddress]
    state_dir: Path
    peer_listen: tuple[str, int] = ("127.0.0.1", 0)
    delivery_listen: tuple[str, int] = ("127.0.0.1", 0)
    advertised_host: str = ""
    clock: Clock = field(default_factory=SystemClock)
    ledger_retention_s: float = LEDGER_RETENTION_S
    hooks: LabHooks | None = None
    pair_hardware: PairHardware | None = None
    find_pair_model: Callable[[str], PairModel | None] = lambda _link: None
    pair_faults: PairFaults = field(default_factory=PairFaults)
    simulation_seed: str = ""


class Agent:
    """A running agent. Start it once; then `stop` or `crash` it once."""

    def __init__(self, plan: AgentPlan, storage: Storage, configuration: Configuration) -> None:
        """Use `start`."""
        self._plan = plan
        self._name = plan.node.name
        self._storage = storage
        stored = storage.stored
        self._service_time = ServiceTime(plan.clock, stored.stamp)
        self._wall = CarriedWall(plan.clock)
        self._configuration = configuration
        self._highest = _election(stored.values.get("election"))
        self._applying = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._totals = Totals(stored.values.get("totals"))
        self._keep_totals_at_s = 0.0
        self._starvation = StarvationWatch()
        self._told: dict[str, bytes] = {}
        self._starved: dict[str, bool] = {}
        self._end_hops = rules.end_hops(configuration)
        self._ended = False
        self.failed = asyncio.Event()
        self.peer_address = ""
        self.delivery_address = ""
        self._notices = Notices()
        self._alarms = Alarms(self._name, self._notices)
        self._room = KeyRoom(
            KeyPlane(self._name, lie=plan.hooks.pass_on if plan.hooks else None),
            storage,
            self._service_time,
            self._on_plane,
        )
        self.desk = NodeDesk(self._room, self._notices, self._tell)
        self._delivery: DeliveryServer | None = None
        self._missing: set[str] = set()
        self._pairs: PairDesk | None = None
        if plan.pair_hardware is not None:
            self._pairs = PairDesk(
                self._name,
                PairPlan(
                    hardware=plan.pair_hardware,
                    find_model=plan.find_pair_model,
                    faults=plan.pair_faults,
                    seed=plan.simulation_seed,
                ),
                clock=plan.clock,
                service_s=self._service_time.now_s,
                alarms=self._alarms,
                notices=self._notices,
                kept=stored.values.get("pair_totals"),
                on_link=self._on_link,
                tell=self._tell,
            )
        self._peers = Peers(
            node=self._name, tls=plan.tls, post=self._from_peer, on_change=self._on_peers, pairs=self.pairs
        )
        self._modules = Modules(
            self._name,
            plan.find_module,
            room=self._room,
            alarms=self._alarms,
            clock=plan.clock,
            values=stored.values,
            on_change=self._on_link,
            tell=self._peers.send,
            spawn=self._spawn,
            find_distilled=self._find_distilled,
        )
        self._uplink = Uplink(
            node=self._name,
            tls=plan.tls,
            controllers=plan.controllers,
            host=self,
            notices=self._notices,
            hooks=plan.hooks,
        )

    @classmethod
    async def start(cls, plan: AgentPlan) -> "Agent":
        """Start an agent from its store; return when it listens.

        Raises:
            StoreRefused: The state directory cannot be used.
            ListenRefused: An address cannot be listened on.
        """
        for listen in (plan.peer_listen, plan.delivery_listen):
            await require_free(*listen)
        storage = await Storage.open(plan.state_dir, plan.node.name)
        agent: Agent | None = None
        try:
            stored = storage.stored
            kept = ((one.entry_id, one.content, one.ends_at_s) for one in stored.entries)
            configuration = rules.restored(kept, int(stored.values.get("version", "0")), plan.node.name)
            agent = cls(plan, storage, configuration)
            await agent._begin()
        except BaseException as problem:
            if agent is not None:
                await agent.crash()
            await storage.close()
            if isinstance(problem, sqlite3.Error):
                raise refused(plan.state_dir, problem) from None
            raise
        return agent

    def clock_changed(self) -> None:
        """Tell that the clock is lost, or was found again."""
        if self._plan.hooks is not None and self._plan.hooks.clock_lost:
            reason = "the clock is lost: its offset from UTC is unknown, times in reports are not to be relied on"
            self._alarms.raised("", CLOCK_LOST, reason, self._plan.clock.wall_ms())
            self._notices.add(("clock",), pb.Notification(clock_lost=pb.ClockLost(reason=reason)))
        else:
            self._alarms.cleared("", CLOCK_LOST)
        self._tell()

    async def ask(self, event: GetKeys | GetKeysById) -> Answer:
        """Have the key plane answer a request for keys; `request` and `now_s` of the event are filled in."""
        return await self.desk.ask(event)

    def status(self, master: str, slave: str) -> KeyStatus | None:
        """Return the figures of 014's `status`, or None where no association serves the pair."""
        return self._room.status(master, slave)

    def figures(self) -> Figures:
        """Return the key plane's figures."""
        return self._room.figures()

    async def stop(self) -> None:
        """Stop in good order: requests in flight end, counters are kept. Safe to repeat."""
        if self._ended:
            return
        if not self.failed.is_set():  # else it is no leave that was taken on purpose
            await self._uplink.farewell()
        if self._delivery is not None:
            await self._delivery.stop()
        await self._end(keep_totals=not self.failed.is_set())

    async def crash(self) -> None:
        """Stop as if the process were killed: nothing more is written, nobody is told. Safe to repeat."""
        if self._ended:
            return
        await self._end(keep_totals=False)
        if self._delivery is not None:
            await self._delivery.stop()

    # ------------------------------------------------------------ what the uplink asks

    @property
    def configuration(self) -> Configuration:
        """Return the configuration in force."""
        return self._configuration

    @property
    def highest_election(self) -> ElectionId | None:
        """Return the highest election id ever seen."""
        return self._highest

    @property
    def connected(self) -> bool:
        """Tell whether a controller has taken us."""
        return self._uplink.connected

    @property
    def peers(self) -> frozenset[str]:
        """Return the nodes that a stream stands to."""
        return self._peers.connected()

    @property
    def pair_means(self) -> PairMeans | None:
        """Return what the node has for entanglement; None for nothing."""
        return None if self._pairs is None else self._pairs.means

    @property
    def pairs(self) -> PairRoom | None:
        """Return what drives the node's pair engine; None where it has nothing for entanglement."""
        return None if self._pairs is None else self._pairs.room

    @property
    def pair_desk(self) -> PairDesk | None:
        """Return the entanglement side of the node; None where it has nothing for it."""
        return self._pairs

    @property
    def storage_id(self) -> str:
        """Return the id of this agent's store."""
        return self._storage.stored.store_id

    def service_s(self) -> float:
        """Return the service time."""
        return self._service_time.now_s()

    def hello(self) -> pb.Hello:
        """Return how the agent stands."""
        node = self._plan.node
        return pb.Hello(
            node=self._name,
            store_id=self.storage_id,
            peer_address=self.peer_address,
            delivery_address=self.delivery_address,
            inventory=pb.Inventory(
                capabilities=[capability_to_pb(one) for one in sorted(node.capabilities, key=lambda one: one.value)],
                interfaces=[interface_to_pb(one) for one in node.interfaces],
                links=self._inventory_links(),
                location_id=node.location,
                entanglement=None if self._pairs is None else self._pairs.inventory(),
            ),
            alarms=self._alarms.active(),
            base_digest=self._configuration.digest,
            highest_election_id=None if self._highest is None else election_to_pb(self._highest),
            agent_version=VERSION,
            links=self._link_reports(blocks=False),
            version=self._configuration.version,
        )

    def report(self, *, complete: bool) -> pb.Report | None:
        """Return the state, or what changed since the last report; None where nothing did."""
        links, relays = self._link_reports(blocks=True), self._relay_reports()
        told = {f"links/{one.link}": one.SerializeToString() for one in links}
        told |= {f"keyRelays/{one.relay}": one.SerializeToString() for one in relays}
        paths = [] if self._pairs is None else self._pairs.path_reports()
        told |= {f"entanglementPaths/{one.path}": one.SerializeToString() for one in paths}
        changed = {name for name, content in told.items() if self._told.get(name) != content}
        self._told = told
        for relay in relays:
            if self._starved.get(relay.relay, False) is not relay.starved:
                self._notices.add(("relay", relay.relay), pb.Notification(relay_update=relay))
        self._starved = {relay.relay: relay.starved for relay in relays}
        if not complete:
            links = [one for one in links if f"links/{one.link}" in changed]
            relays = [one for one in relays if f"keyRelays/{one.relay}" in changed]
            paths = [one for one in paths if f"entanglementPaths/{one.path}" in changed]
            if not links and not relays and not paths:
                return None
        else:
            self._keep_totals()
        return pb.Report(
            complete=complete,
            links=links,
            relays=relays,
            paths=paths,
            memories_in_use=None if self._pairs is None else self._pairs.room.memories_in_use,
            alarms=self._alarms.active() if complete else (),
            queue_fill=max(self._room.fill(), self._peers.fill, self._notices.fill),
        )

    async def remember(self, election: ElectionId) -> None:
        """Make the highest election id durable."""
        await self._write([PutValue("election", json.dumps([election.epoch, election.term]))])
        self._highest = election

    async def apply(self, update: Update, accepted: Accepted) -> bool:
        """Make a configuration durable and put it in force; False if another came in force since it was decided.

        Goes on where the caller is cancelled: what is durable must be in force.
        """
        await asyncio.shield(self._spawn(self._apply(accepted, update.base_digest), "apply"))
        return self._configuration is accepted.configuration

    # ------------------------------------------------------------ inside

    async def _begin(self) -> None:
        plan, stored = self._plan, self._storage.stored
        await self._room.restore(stored.records)
        self._spawn(self._room.run(), "key-room")
        await self._room.settle(Configure(now_s=0.0, settings=rules.settings(self._configuration)))
        peer_port = await _bound(self._peers.listen, *plan.peer_listen, stored.values.get("peer_port"))
        self.peer_address = f"{plan.advertised_host or plan.peer_listen[0]}:{peer_port}"
        delivery_port = await _bound(self._deliver, *plan.delivery_listen, stored.values.get("delivery_port"))
        self.delivery_address = f"{plan.advertised_host or plan.delivery_listen[0]}:{delivery_port}"
        await self._write([PutValue("peer_port", str(peer_port)), PutValue("delivery_port", str(delivery_port))])
        self._put_in_force()
        self.clock_changed()
        self._spawn(self._uplink.run(), "uplink")
        self._spawn(self._end_orphans(), "orphans")
        self._spawn(self._trim_ledger(), "ledger")
        log.info(
            "agent runs node=%s peers=%s delivery=%s entries=%d links=%d",
            self._name,
            self.peer_address,
            self.delivery_address,
            len(self._configuration.entries),
            len(plan.links),
        )

    async def _deliver(self, host: str, port: int) -> int:
        delivery = DeliveryServer(self.desk, https_server_context(self._plan.tls))
        try:
            _, bound = await delivery.start(host, port)
        except OSError as problem:
            raise ListenRefused(f"{host}:{port}", why_not(host, problem)) from None
        self._delivery = delivery
        return bound

    async def _end(self, *, keep_totals: bool) -> None:
        self._ended = True
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        pending = set(tasks)
        while pending:  # a cancellation that some library swallowed must not keep the agent
            for task in pending:
                task.cancel()
            _, pending = await asyncio.wait(pending, timeout=_CANCEL_AGAIN_S)
        await asyncio.gather(*tasks, return_exceptions=True)
        self._room.close()
        if self._pairs is not None:
            self._pairs.room.close()
        await self._peers.stop()
        if keep_totals:
            with suppress(Exception):  # counters are for people; a disk that fails now has nothing else to lose
                await self._write(self._kept_totals())
        await self._storage.close()

    async def _apply(self, accepted: Accepted, base_digest: bytes) -> None:
        async with self._applying:
            if base_digest == self._configuration.digest:
                await self._change(accepted)

    async def _change(self, accepted: Accepted) -> None:
        writes: list[Write] = [DropEntry(name) for name in sorted(accepted.deletes)]
        writes += [PutEntry(name, held.content, held.ends_at_s) for name, held in accepted.upserts.items()]
        writes.append(PutValue("version", str(accepted.configuration.version)))
        settings = rules.settings(accepted.configuration)
        await self._room.settle(Configure(now_s=0.0, settings=settings), writes=writes)
        self._configuration = accepted.configuration
        self._put_in_force()
        log.info(
            "configuration in force node=%s version=%d entries=%d",
            self._name,
            self._configuration.version,
            len(self._configuration.entries),
        )

    def _put_in_force(self) -> None:
        self._end_hops = rules.end_hops(self._configuration)
        entries = rules.link_entries(self._configuration)
        peers = self._room.peers()
        if self._pairs is not None:
            links = [entry for entry in entries.values() if entry.entanglement]
            peers |= {entry.neighbour for entry in links}
            self._pairs.configure(links, rules.path_entries(self._configuration))
        else:
            self._miss_hardware({name for name, entry in entries.items() if entry.entanglement})
        self._peers.want(peers, rules.peer_addresses(self._configuration))
        self._modules.configure({name: entry for name, entry in entries.items() if not entry.entanglement})

    def _miss_hardware(self, links: set[str]) -> None:
        """Tell of links of pairs that are set here from a time when the node had something for them."""
        for link in self._missing - links:
            self._alarms.cleared(f"links/{link}", MODULE_MISSING)
        for link in links - self._missing:
            problem = "it makes pairs, and this node has nothing for them: is it in the agent's topology file?"
            self._alarms.raised(f"links/{link}", MODULE_MISSING, problem, self._plan.clock.wall_ms())
        self._missing = links

    async def _end_orphans(self) -> None:
        """End what has a lifetime when no controller is there to end it."""
        while True:
            await asyncio.sleep(_ORPHAN_CHECK_S)
            async with self._applying:
                over = None if self.connected else rules.ended(self._configuration, self.service_s())
                if over is not None:
                    log.warning("services ended without a controller node=%s entries=%d", self._name, len(over.deletes))
                    await self._change(over)

    async def _trim_ledger(self) -> None:
        while True:
            # In slices: in between, what keys wait for is made durable.
            left_out = await self._storage.trim(self.service_s() - self._plan.ledger_retention_s)
            await asyncio.sleep(_TRIM_PAUSE_S if left_out else _TRIM_EVERY_S)

    def _keep_totals(self) -> None:
        now_s = self.service_s()
        if now_s >= self._keep_totals_at_s:
            self._keep_totals_at_s = now_s + _KEEP_TOTALS_S
            self._spawn(self._write(self._kept_totals()), "totals")

    def _kept_totals(self) -> list[Write]:
        kept: list[Write] = [PutValue("totals", self._totals.kept(self._room.figures()))]
        if self._pairs is not None:
            kept.append(PutValue("pair_totals", self._pairs.totals()))
        return kept

    async def _write(self, writes: Sequence[Write]) -> None:
        await self._storage.commit(writes, self._service_time.stamp())

    def _inventory_links(self) -> list[pb.InventoryLink]:
        found = {
            link.name: pb.InventoryLink(link=link.name, local_interface=end.interface, neighbour=link.far(self._name))
            for link in self._plan.links
            for end in link.ends
            if end.node == self._name
        }
        # Links that were added since this agent was started.
        for name, entry in rules.link_entries(self._configuration).items():
            if name not in found and (name in self._modules.states or (entry.entanglement and self._pairs)):
                found[name] = pb.InventoryLink(
                    link=name, local_interface=entry.local_interface, neighbour=entry.neighbour
                )
        return list(found.values())

    def _link_reports(self, *, blocks: bool) -> list[pb.LinkReport]:
        figures = {one.link: one for one in self._room.figures().links}
        entries = rules.link_entries(self._configuration)
        states = self._modules.states
        # Modules' clocks do not jump: how old a block is, is counted on one that does not, either.
        now_ms = self._wall.now_ms()
        names = dict.fromkeys([*(link.name for link in self._plan.links), *entries])
        of_pairs = {link.name for link in self._plan.links if link.kind is LinkKind.ENTANGLEMENT}
        of_pairs = of_pairs - entries.keys() | {name for name, entry in entries.items() if entry.entanglement}
        found = self._pairs.link_reports(of_pairs, entries, self._peers.unheard) if self._pairs else []
        return found + [
            link_report(
                name,
                state=states.get(name) or LinkState(),
                entry=entries.get(name),
                figures=figures.get(name),
                totals=self._totals,
                unreachable=name in entries and self._peers.unheard(entries[name].neighbour),
                now_ms=now_ms,
                blocks=blocks,
            )
            for name in names
            if name not in of_pairs
        ]

    def _relay_reports(self) -> list[pb.RelayReport]:
        return relay_reports(
            self._room.figures(),
            hops=self._end_hops,
            node=self._name,
            totals=self._totals,
            watch=self._starvation,
            now_s=self.service_s(),
        )

    def _on_plane(self, notice: Notice) -> None:
        if isinstance(notice, RaiseAlarm | ClearAlarm):
            self._alarms.of_plane(notice, self._plan.clock.wall_ms())
        else:
            # Of one relay alone: where hundreds are set up at once, each says so once for every key it confirms first.
            figures, versions = self._room.relay_figures(notice.relay), self._end_hops.get(notice.relay)
            if figures is not None and versions:
                report = relay_report(
                    figures,
                    versions,
                    node=self._name,
                    totals=self._totals,
                    watch=self._starvation,
                    now_s=self.service_s(),
                )
                self._notices.add(("relay", report.relay), pb.Notification(relay_update=report))
        self._tell()

    def _on_link(self, link: str) -> None:
        for report in self._link_reports(blocks=False):
            if report.link == link:
                down = bool(report.down_reason)
                notice = pb.Notification(link_down=report) if down else pb.Notification(link_up=report)
                self._notices.add(("link", link), notice)
        self._tell()

    def _find_distilled(self, link: str, path: str) -> DistilledModule | None:
        return None if self._pairs is None else self._pairs.module(link, path)

    async def _from_peer(self, event: Event, *, stream: PeerStream | None = None) -> None:
        if not self._modules.from_peer(event):
            await self._room.post(event, stream=stream)

    def _on_peers(self) -> None:
        self._uplink.nudge(report=True)

    def _tell(self) -> None:
        self._uplink.nudge(report=True)

    def _spawn(self, work: Awaitable[None], what: str) -> "asyncio.Task[None]":
        """Run a task of the agent; its failure is the agent's."""
        task = asyncio.ensure_future(work)
        task.set_name(f"{what}-{self._name}")
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if task.cancelled() or task.exception() is None or self._ended:
            return
        log.error("agent failed, restart it node=%s part=%s", self._name, task.get_name(), exc_info=task.exception())
        # Whoever waits for something to become durable would wait for ever.
        self._room.close()
        self.failed.set()


async def _bound(listen: Callable[[str, int], Awaitable[int]], host: str, port: int, last: str | None) -> int:
    """Listen where it was listened last, if the port is free to choose and still free."""
    if port == 0 and last is not None:
        with suppress(ListenRefused):
            return await listen(host, int(last))
    return await listen(host, port)


def _election(kept: str | None) -> ElectionId | None:
    if kept is None:
        return None
    epoch, term = json.loads(kept)
    return ElectionId(epoch=epoch, term=term)
