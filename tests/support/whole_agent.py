"""One node's agent without I/O: the real session, configuration and reports around a key plane of the virtual world.

What the shell does with tasks, gRPC and SQLite is done here at once and in order; the rules are the agent's own.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from controller.domain.entries import PathEntry, RelayHopEntry
from controller.domain.snapshot import ElectionId
from controller.wire.southbound import election_to_pb
from qinet.southbound.v1 import agent_pb2 as pb
from southbound.agent import configuration as rules
from southbound.agent.alarms import LINK_DOWN, Alarms
from southbound.agent.configuration import Accepted, Configuration
from southbound.agent.drivers.module import ModuleBlock
from southbound.agent.keyplane.events import AlarmKind, ClearAlarm, Configure, RaiseAlarm
from southbound.agent.keyplane.plane import KeyPlane
from southbound.agent.notices import Notices
from southbound.agent.reports import LinkState, StarvationWatch, Totals, link_report, relay_reports
from southbound.agent.session import Apply, Effect, End, Remember, Say, Session, Welcomed
from southbound.control.session import AgentSession
from tests.support.keyplane_world import Site, World
from tests.support.whole_pairs import NodePairs

_MIN_REPORT_SPACING_S = 0.5


@dataclass
class Pipe:
    """One stream between an agent and the controller, with what is under way on it.

    Attributes:
        up, down: Messages to the controller, and to the agent.
        agent_left, controller_left: That side has closed it; the other reads what is left, then the end.
        frozen: Nothing moves on it any more, and nobody was told.
    """

    node: str
    up: deque[pb.SessionRequest] = field(default_factory=deque)
    down: deque[pb.SessionResponse] = field(default_factory=deque)
    agent_left: bool = False
    controller_left: bool = False
    frozen: bool = False
    session: AgentSession | None = None


@dataclass
class AgentDisk:
    """What of an agent outlives its process, the key plane's records apart."""

    entries: dict[str, tuple[bytes, float | None]] = field(default_factory=dict)
    version: int = 0
    election: ElectionId | None = None


class VirtualNode:
    """An agent, running or not."""

    def __init__(self, name: str, links: Iterable[str], planes: World, pairs: NodePairs | None = None) -> None:
        self.name = name
        self.pairs = pairs
        self.disk = AgentDisk()
        self.pipe: Pipe | None = None
        self.links = tuple(link for link in links if pairs is None or link not in pairs.models)
        self.down: set[str] = set()
        """Links whose channel has stopped, as this node's module sees it."""
        self._planes = planes
        self._session: Session | None = None
        self.start()

    @property
    def site(self) -> Site:
        return self._planes.sites[self.name]

    @property
    def alive(self) -> bool:
        return self.name in self._planes.sites and self.site.plane is not None

    @property
    def connected(self) -> bool:
        return self._session is not None and self._session.welcomed

    @property
    def _now_s(self) -> float:
        return self._planes.now_s

    @property
    def _wall_ms(self) -> int:
        return 1_700_000_000_000 + int(1000 * self._now_s)

    # ------------------------------------------------------------ life

    def start(self) -> None:
        """Begin a process on what the disk holds."""
        kept = ((entry_id, *rest) for entry_id, rest in self.disk.entries.items())
        self.configuration = rules.restored(kept, self.disk.version, self.name)
        site = self._planes.sites.setdefault(self.name, Site(self.name))
        site.settings = rules.settings(self.configuration)
        self._planes.start(self.name)
        self._notices = Notices()
        self._alarms = Alarms(self.name, self._notices)
        self._totals = Totals(None)
        self._watch = StarvationWatch()
        self._states = {link: LinkState() for link in self.links}
        self._plane_alarms: dict[tuple[AlarmKind, str], str] = {}
        self._told: dict[str, bytes] = {}
        self._report_wanted = False
        self._reported_s = 0.0
        self._session = None
        site.changed.clear()
        if self.pairs is not None:
            self.pairs.start(self.configuration, self._now_s)
        for link in self.down:
            self._channel(link, "cut")

    def crash(self) -> None:
        """Kill the process; nobody is told but by the end of its streams."""
        if self.alive:
            self._planes.crash(self.name)
        self.hang_up()

    def hang_up(self) -> None:
        """Let go of the session, if there is one."""
        self._session = None
        if self.pipe is not None:
            self.pipe.agent_left = True
            self.pipe = None
        if self.pairs is not None and not self.alive:
            self.pairs.stop()

    def dial(self) -> Pipe:
        """Begin a session."""
        self._session = Session(
            node=self.name,
            highest=self.disk.election,
            notices=self._notices,
            now_s=self._now_s,
            pairs=None if self.pairs is None else self.pairs.means,
        )
        self.pipe = Pipe(self.name)
        self.pipe.up.append(pb.SessionRequest(hello=self._hello()))
        return self.pipe

    # ------------------------------------------------------------ modules

    def _is_of_pairs(self, link: str) -> bool:
        return self.pairs is not None and link in self.pairs.models

    def cut(self, link: str) -> None:
        """Let the module lose its channel."""
        if self.pairs is not None and self._is_of_pairs(link):
            self.pairs.order(link, self._now_s, cut=True)
            self._report_wanted = True
            return
        self.down.add(link)
        if self.alive:
            self._channel(link, "cut")

    def repair(self, link: str) -> None:
        """Let the module have its channel back."""
        if self.pairs is not None and self._is_of_pairs(link):
            self.pairs.order(link, self._now_s)
            self._report_wanted = True
            return
        self.down.discard(link)
        if self.alive:
            self._channel(link, "")

    def measure(self, link: str, bit_per_s: int) -> None:
        """Let the module have measured enough blocks of a rate to promise by it."""
        if not self.alive:
            return
        state = self._states[link] = LinkState(channel_down=self._states[link].channel_down)
        for number in range(20):
            state.take(
                ModuleBlock(
                    block=number,
                    key=bytes(bit_per_s // 8),
                    duration_ms=1000,
                    end_time_ms=self._wall_ms - 1000 * (20 - number),
                    qber=0.02,
                ),
                qber_limit=0.11,
            )
        self._report_wanted = True

    def serves(self, link: str) -> bool:
        """Tell whether the module of a link runs here."""
        entry = rules.link_entries(self.configuration).get(link)
        return self.alive and entry is not None and entry.enabled and link not in self.down

    def _channel(self, link: str, down: str) -> None:
        self._states[link].channel_down = down
        if down:
            self._alarms.raised(f"links/{link}", LINK_DOWN, down, self._wall_ms)
        else:
            self._alarms.cleared(f"links/{link}", LINK_DOWN)
        report = next(one for one in self._link_reports(blocks=False) if one.link == link)
        notice = pb.Notification(link_down=report) if report.down_reason else pb.Notification(link_up=report)
        self._notices.add(("link", link), notice)
        self._report_wanted = True

    # ------------------------------------------------------------ the session

    def hear(self, *, crash: str = "") -> bool:
        """Take the next message of the controller, or the end of the stream; False when there is neither."""
        pipe = self.pipe
        if not self.alive or pipe is None or self._session is None or pipe.frozen:
            return False
        if pipe.down:
            response = pipe.down.popleft()
            self._carry_out(self._session.receive(response, self.configuration, self._now_s, self._now_s), crash=crash)
        elif pipe.controller_left:
            self.hang_up()
        else:
            return False
        return True

    def speak(self) -> bool:
        """Say what is due; False when there is nothing."""
        if not self.alive:
            return False
        self._gather()
        if self._session is None:
            return False
        effects, complete = self._session.due(self._now_s)
        self._carry_out(effects)
        said = bool(effects)
        session, pipe = self._session, self.pipe
        if session is None or pipe is None or not session.welcomed:
            return said
        spaced = self._now_s >= self._reported_s + _MIN_REPORT_SPACING_S
        if complete or (self._report_wanted and spaced):
            self._report_wanted = False
            self._reported_s = self._now_s
            if (report := self._report(complete=complete)) is not None:
                pipe.up.append(session.report(report).request)
                said = True
        return said

    def end_orphans(self) -> None:
        """End what has a lifetime when no controller is there to end it."""
        if self.alive and not self.connected:
            over = rules.ended(self.configuration, self._now_s)
            if over is not None:
                self._change(over)

    def _carry_out(self, effects: Iterable[Effect], *, crash: str = "") -> None:
        for effect in effects:
            session, pipe = self._session, self.pipe
            if session is None or pipe is None:
                return
            match effect:
                case Remember(election=election):
                    self.disk.election = election
                case Apply(update=update, accepted=accepted):
                    if update.base_digest != self.configuration.digest:
                        self.hang_up()
                        return
                    self._change(accepted, crash=crash)
                    if not self.alive:
                        self.hang_up()
                        return
                    pipe.up.append(session.applied(update, self.configuration).request)
                case Say(request=request):
                    pipe.up.append(request)
                case Welcomed():
                    self._report_wanted = True
                case End():
                    self.hang_up()

    def _change(self, accepted: Accepted, *, crash: str = "") -> None:
        settings = rules.settings(accepted.configuration)
        if crash != "before":
            for entry_id in accepted.deletes:
                del self.disk.entries[entry_id]
            for entry_id, held in accepted.upserts.items():
                self.disk.entries[entry_id] = held.content, held.ends_at_s
            self.disk.version = accepted.configuration.version
        self.site.settings = settings
        self._planes.handle(self.name, Configure(now_s=self._now_s, settings=settings), crash=crash)
        if self.alive:
            self.configuration = accepted.configuration
            if self.pairs is not None:
                self.pairs.configure(self.configuration, self._now_s)

    # ------------------------------------------------------------ what it tells

    @property
    def durable(self) -> Configuration:
        """Return the configuration on the disk: in force, or in force again after the next start."""
        kept = ((entry_id, *rest) for entry_id, rest in self.disk.entries.items())
        return self.configuration if self.alive else rules.restored(kept, self.disk.version, self.name)

    def hops(self) -> dict[str, RelayHopEntry]:
        """Return the durable relay hops, by id: relay, version of its routes, share."""
        held = (one.entry for one in self.durable.entries.values())
        return {entry.id: entry for entry in held if isinstance(entry, RelayHopEntry)}

    def instructions(self) -> dict[str, PathEntry]:
        """Return the durable instructions of entanglement paths, by id: path, version of its route."""
        return {entry.id: entry for entry in rules.path_entries(self.durable)}

    def contents(self) -> dict[str, bytes]:
        """Return the bytes of every entry in force."""
        return {entry_id: held.content for entry_id, held in self.configuration.entries.items()}

    def _gather(self) -> None:
        """Take over what the key plane had to tell since the last look."""
        for key in [key for key in self._plane_alarms if key not in self.site.alarms]:
            del self._plane_alarms[key]
            self._alarms.of_plane(ClearAlarm(*key), self._wall_ms)
            self._report_wanted = True
        for key, text in self.site.alarms.items():
            if self._plane_alarms.get(key) != text:
                self._plane_alarms[key] = text
                self._alarms.of_plane(RaiseAlarm(*key, text), self._wall_ms)
                self._report_wanted = True
        changed = set(self.site.changed)
        self.site.changed.clear()
        if changed:
            self._report_wanted = True
            for report in self._relay_reports():
                if report.relay in changed:
                    self._notices.add(("relay", report.relay), pb.Notification(relay_update=report))
        if self.pairs is not None and self.pairs.changed:
            self._report_wanted = True
            for path in self.pairs.path_reports():
                if path.path in self.pairs.changed:
                    self._notices.add(("path", path.path), pb.Notification(path_update=path))
            self.pairs.changed.clear()

    def _hello(self) -> pb.Hello:
        return pb.Hello(
            node=self.name,
            store_id=f"store-{self.name}",
            peer_address=f"{self.name}:1",
            delivery_address=f"{self.name}:2",
            alarms=self._alarms.active(),
            base_digest=self.configuration.digest,
            highest_election_id=None if self.disk.election is None else election_to_pb(self.disk.election),
            agent_version="0",
            links=self._link_reports(blocks=False),
            version=self.configuration.version,
        )

    def _report(self, *, complete: bool) -> pb.Report | None:
        links, relays = self._link_reports(blocks=True), self._relay_reports()
        paths = [] if self.pairs is None else self.pairs.path_reports()
        told = {f"links/{one.link}": one.SerializeToString() for one in links}
        told |= {f"keyRelays/{one.relay}": one.SerializeToString() for one in relays}
        told |= {f"entanglementPaths/{one.path}": one.SerializeToString() for one in paths}
        changed = {name for name, content in told.items() if self._told.get(name) != content}
        self._told = told
        if not complete:
            links = [one for one in links if f"links/{one.link}" in changed]
            relays = [one for one in relays if f"keyRelays/{one.relay}" in changed]
            paths = [one for one in paths if f"entanglementPaths/{one.path}" in changed]
            if not links and not relays and not paths:
                return None
        alarms = self._alarms.active() if complete else ()
        return pb.Report(complete=complete, links=links, relays=relays, paths=paths, alarms=alarms)

    @property
    def _plane(self) -> KeyPlane:
        return self.site.running

    def _link_reports(self, *, blocks: bool) -> list[pb.LinkReport]:
        figures = {one.link: one for one in self._plane.figures().links}
        entries = rules.link_entries(self.configuration)
        of_pairs = [] if self.pairs is None else self.pairs.link_reports(self.configuration)
        return of_pairs + [
            link_report(
                name,
                state=self._states[name],
                entry=entries.get(name),
                figures=figures.get(name),
                totals=self._totals,
                unreachable=False,
                now_ms=self._wall_ms,
                blocks=blocks,
            )
            for name in self.links
        ]

    def _relay_reports(self) -> list[pb.RelayReport]:
        return relay_reports(
            self._plane.figures(),
            hops=rules.end_hops(self.configuration),
            node=self.name,
            totals=self._totals,
            watch=self._watch,
            now_s=self._now_s,
        )
