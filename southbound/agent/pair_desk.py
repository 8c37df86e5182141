"""All that a node with pair hardware does for entanglement: its pair room, the key made of pairs, and what it tells."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from controller.domain.entries import LinkEntry, PathEntry
from controller.domain.pair_link import PairHardware, PairModel
from qinet.southbound.v1 import agent_pb2 as pb
from southbound.agent.alarms import Alarms
from southbound.agent.clock import Clock
from southbound.agent.drivers.distilled import DistilledModule
from southbound.agent.notices import Notices
from southbound.agent.pair_entries import PairMeans
from southbound.agent.pair_faults import PairFaults
from southbound.agent.pair_reports import PairTotals, inventory_to_pb, pair_link_report, path_report
from southbound.agent.pair_room import PairRoom
from southbound.agent.pairs.distillation import Measured
from southbound.agent.pairs.effects import Measured as MeasuredPair


@dataclass(frozen=True, slots=True, kw_only=True)
class PairPlan:
    """What a node has for entanglement.

    Attributes:
        hardware: Its own.
        find_model: Gives what one of its links truly does; None where it has no such link.
        faults: Those in force on its links.
        seed: Of the key that is made of pairs; both ends of a path have the same.
    """

    hardware: PairHardware
    find_model: Callable[[str], PairModel | None]
    faults: PairFaults
    seed: str


class PairDesk:
    """The entanglement side of one node."""

    def __init__(
        self,
        node: str,
        plan: PairPlan,
        *,
        clock: Clock,
        service_s: Callable[[], float],
        alarms: Alarms,
        notices: Notices,
        kept: str | None,
        on_link: Callable[[str], None],
        tell: Callable[[], None],
    ) -> None:
        """Prepare.

        Args:
            node: Whose it is.
            plan: What it has.
            clock: For the times of alarms and blocks.
            service_s: Gives the service time.
            alarms: Where faults go.
            notices: Where goes what the controller is to be told at once.
            kept: What `totals` gave an earlier process; None before the first.
            on_link: Called with a link that ceased or began to make pairs.
            tell: Called when the controller is to be told something.
        """
        self._seed = plan.seed
        self._clock = clock
        self._notices = notices
        self._tell = tell
        self._totals = PairTotals(kept)
        self._modules: dict[str, DistilledModule] = {}
        self._paths: dict[str, PathEntry] = {}
        self._starved: dict[str, bool] = {}
        self.means = PairMeans(plan.hardware, plan.find_model)
        self.room = PairRoom(
            node,
            plan.hardware,
            plan.find_model,
            plan.faults,
            clock=clock,
            service_s=service_s,
            alarms=alarms,
            on_link=on_link,
            on_path=self._on_path,
            on_measured=self.measured,
        )

    def inventory(self) -> pb.EntanglementInventory:
        """Return what the node has, as it is told."""
        return inventory_to_pb(self.room.hardware)

    def configure(self, links: Iterable[LinkEntry], paths: Collection[PathEntry]) -> None:
        """Follow these settings of links that make pairs, and these paths, and no others."""
        self.room.configure(links, paths)
        self._paths = {entry.path: entry for entry in sorted(paths, key=lambda entry: entry.route_version)}
        for link in self._modules:
            self._configure_module(link)

    def module(self, link: str, path: str) -> DistilledModule:
        """Return the module of a link whose key is made of a path's pairs."""
        self._modules[link] = DistilledModule(link, path, self._seed, self._clock)
        self._configure_module(link)
        return self._modules[link]

    def measured(self, link: str, outcomes: Iterable[MeasuredPair]) -> None:
        """Take what was measured here of pairs that become the key of a link."""
        if (module := self._modules.get(link)) is not None:
            module.measured(
                Measured(one.version, one.sequence, one.basis == "X", one.bit)
                for one in outcomes
                if one.path == module.path
            )

    def link_reports(
        self, names: Iterable[str], entries: Mapping[str, LinkEntry], unheard: Callable[[str], bool]
    ) -> list[pb.LinkReport]:
        """Return the node's view of links that make pairs.

        Args:
            names: Of the links.
            entries: The settings in force.
            unheard: Tells whether a node was unheard for too long.
        """
        figures = self.room.link_figures()
        return [
            pair_link_report(
                name,
                entry=entries.get(name),
                figures=figures.get(name),
                down_reason=self.room.down_reason(name),
                totals=self._totals,
                unreachable=name in entries and unheard(entries[name].neighbour),
            )
            for name in sorted(names)
        ]

    def path_reports(self) -> list[pb.PathReport]:
        """Return the node's view of the paths that end here; one that begins or ceases to starve is told at once."""
        self.room.look_at_clock()
        reports = self._reports()
        for report in reports:
            if self._starved.get(report.path, False) is not report.starved:
                self._notices.add(("path", report.path), pb.Notification(path_update=report))
        self._starved = {report.path: report.starved for report in reports}
        return reports

    def totals(self) -> str:
        """Return the counters to keep."""
        return self._totals.kept(self.room.link_figures().values(), self.room.path_figures())

    def _reports(self) -> list[pb.PathReport]:
        sifted = {module.path: module.sifted_bit for module in self._modules.values()}
        return [
            path_report(figures, totals=self._totals, sifted_bit=sifted.get(figures.path, 0))
            for figures in self.room.path_figures()
        ]

    def _on_path(self, path: str) -> None:
        for report in self._reports():
            if report.path == path:
                self._notices.add(("path", path), pb.Notification(path_update=report))
        self._tell()

    def _configure_module(self, link: str) -> None:
        """Tell a module how much makes a block: as the newest version of its path has it."""
        module = self._modules[link]
        entry = self._paths.get(module.path)
        if entry is None or entry.key_link != link:
            module.configure(block_bit=0, rate_hz=0.0)
        else:
            module.configure(block_bit=entry.distillation_block_bit, rate_hz=entry.rate_millihertz / 1000)
