"""The pair engine of one node: settings, messages and the passing of time in; messages and pairs out."""

from collections.abc import Iterable
from random import Random
from typing import Final

from controller.domain.entries import PathEntry
from controller.domain.pair_link import PairHardware, PairModel
from southbound.agent.pairs.activation import Head
from southbound.agent.pairs.effects import Effect, PairId, Send
from southbound.agent.pairs.figures import LinkFigures, PathFigures, link_figures, path_figures
from southbound.agent.pairs.kinds import part_of, same_plan
from southbound.agent.pairs.link_tests import try_link
from southbound.agent.pairs.links import Link
from southbound.agent.pairs.messages import (
    Activate,
    Activated,
    Confirm,
    Herald,
    LinkCondition,
    Message,
    Outcomes,
    PairHello,
    PathMessage,
    Recent,
    Resync,
    Swapped,
    Sweep,
    Swept,
    Token,
)
from southbound.agent.pairs.part import Part, Phase
from southbound.agent.pairs.path_end import PathEnd
from southbound.agent.pairs.resources import Resources
from southbound.agent.pairs.route import Route
from southbound.agent.pairs.service import LinkLayerService
from southbound.agent.pairs.states import Pair
from southbound.agent.pairs.timers import near

Key = tuple[str, int]
_WORK: Final = (Herald, Swapped, Sweep, Token)
_LOOK_EVERY_S: Final = 1.0
_SETTLED_S: Final = 0.1


class EntryRefused(ValueError):  # noqa: N818  (a value that is returned, too)
    """A path entry that this node cannot follow; says which and why."""


class PairEngine(Resources):
    """See the package for how a shell drives it. All methods take the time, which never goes back."""

    def __init__(
        self,
        node: str,
        hardware: PairHardware,
        random: Random,
        *,
        now_s: float = 0.0,
        grace_s: float = 0.0,
        announce: bool = True,
    ) -> None:
        """Begin with nothing known.

        Args:
            node: Name of this node.
            hardware: What it truly has.
            random: The only source of chance.
            now_s: On the engine's clock.
            grace_s: How long to wait for news that is late before a cut-off is carried out (as of its own time); 0 in
                virtual time.
            announce: Whether `Delivered` is told of every pair; else only counted.
        """
        super().__init__(node, hardware, random, now_s=now_s, grace_s=grace_s, announce=announce)
        self.service = LinkLayerService(self)
        self._parts: dict[Key, Part] = {}
        self._heads: dict[Key, Head] = {}
        self._ends: dict[str, PathEnd] = {}
        self._looking = False
        self.late_total = 0
        """Messages of versions that are not set or not in use here, or of nodes that are not next on their route."""

    # What the shell says.

    def set_link(self, link: str, neighbour: str, model: PairModel, now_s: float, *, enabled: bool = True) -> None:
        """Have a link of this node as its hardware is, or change it; `enabled` is the controller's word."""
        self._at(now_s)
        known = self._links.get(link)
        if known is None or known.neighbour != neighbour:
            known = self._links[link] = Link(link, neighbour, model)
        elif (known.model, known.enabled) == (model, enabled):
            return
        if known.model != model:
            known.tests.clear()
        known.model, known.enabled = model, enabled
        if not self._looking:
            self._looking = True
            self.timers.at(self.now_s + _LOOK_EVERY_S, self._look)
        self._link_changed(link)

    def remove_link(self, link: str, now_s: float) -> None:
        """Forget a link of this node."""
        self._at(now_s)
        if self._links.pop(link, None) is not None:
            self._link_changed(link)

    def fault(
        self, link: str, now_s: float, *, success_factor: float = 1.0, werner_factor: float = 1.0, cut: bool = False
    ) -> None:
        """Have a fault of a link begin, change, or (with no more than its name) end.

        Args:
            link: A link of this node; another one is no matter.
            now_s: Network time.
            success_factor: What the success of attempts is multiplied by; >= 0.
            werner_factor: What w of pairs is multiplied by; in [0, 1].
            cut: Nothing gets through.
        """
        self._at(now_s)
        if (known := self._links.get(link)) is None:
            return
        condition = LinkCondition(link, success_factor, werner_factor, cut)
        if condition != known.own:
            known.own = condition
            self.send(known.neighbour, condition)
            self._link_changed(link)

    def set_paths(self, entries: Iterable[PathEntry], now_s: float) -> tuple[EntryRefused, ...]:
        """Have exactly these versions of paths here; what is not among them is dropped at once.

        Returns:
            The entries that cannot be followed, which are left out.
        """
        self._at(now_s)
        refused: list[EntryRefused] = []
        wanted = {(entry.path, entry.route_version): entry for entry in entries}
        for key in [key for key, part in self._parts.items() if not same_plan(wanted.get(key), part.entry)]:
            self._remove(key)
        for key, entry in wanted.items():
            part = self._parts.get(key)
            if part is None:
                try:
                    part = part_of(self, entry, Route(entry, self.node))
                except ValueError as problem:
                    refused.append(EntryRefused(f"{entry.id}: {problem}"))
                    continue
                self._parts[key] = part
                if part.route.place == 0:
                    self._heads[key] = Head(self, part)
                part.ask_head()
            part.entry = entry
            if part.route.place in (0, part.route.last):
                self._ends.setdefault(entry.path, PathEnd(self, entry.path, head=part.route.place == 0))
            if (head := self._heads.get(key)) is not None:
                head.want(not entry.passive)
        for path in list(self._ends):
            kept = {version for name, version in self._parts if name == path}
            if kept:
                self._ends[path].forget_versions(kept)
            else:
                del self._ends[path]
                self.service.path_gone(path)
        return tuple(refused)

    def peer_up(self, neighbour: str, now_s: float) -> None:
        """A stream to a neighbour stands; it may have lost everything since the last one."""
        self._at(now_s)
        self._up.add(neighbour)
        self._decay_rates.pop(neighbour, None)
        conditions = tuple(link.own for link in self._links.values() if link.neighbour == neighbour)
        self.send(neighbour, PairHello(self._decay_rates[self.node], conditions))

    def peer_down(self, neighbour: str, now_s: float) -> None:
        """The stream to a neighbour has ended; what was sent and not heard is lost."""
        self._at(now_s)
        self._up.discard(neighbour)
        self._decay_rates.pop(neighbour, None)
        for part in self._parts.values():
            for hop in part.route.hops:
                if hop.neighbour == neighbour:
                    part.hop_changed(hop)

    def handle(self, neighbour: str, message: Message, now_s: float) -> None:
        """Take a message of a neighbour."""
        self._at(now_s)
        if isinstance(message, PairHello):
            self._hello(neighbour, message)
        elif isinstance(message, LinkCondition):
            self._condition(neighbour, message)
        else:
            part = self._parts.get((message.path, message.version))
            if part is None or neighbour not in (part.route.left, part.route.right):
                self.late_total += 1
            elif isinstance(message, _WORK):
                if part.in_use:
                    part.handle(neighbour, message)
                else:
                    self.late_total += 1
            else:
                self._control(part, neighbour, message)
        if self.timers.next_due() <= now_s:
            self._at(now_s)

    def tick(self, now_s: float) -> None:
        """Do what is due."""
        self._at(now_s)

    def next_due(self) -> float:
        """Return when `tick` is to be called at the latest, unless something else is before; infinite for never."""
        return self.timers.next_due()

    def drain(self) -> list[Effect]:
        """Return what the shell has to do, in order, and forget it. To be called after every other call."""
        found: list[Effect] = [Send(neighbour, message) for neighbour, message in self.outbox]
        found += self.effects
        self.outbox.clear()
        self.effects.clear()
        return found

    # What the shell reports.

    def path_figures(self) -> list[PathFigures]:
        """Return what this node can tell of the paths that end here."""
        return [
            path_figures(
                end, [part for (name, _), part in self._parts.items() if name == path], self._heads, self.now_s
            )
            for path, end in self._ends.items()
        ]

    def link_figures(self) -> list[LinkFigures]:
        """Return what this node can tell of its links."""
        return [
            link_figures(link, self._parts.values(), self.now_s, draws=self.node < link.neighbour)
            for link in self._links.values()
        ]

    @property
    def refused_total(self) -> int:
        """Pairs and lanes that there was no memory for."""
        return sum(part.refused_total for part in self._parts.values())

    def parts(self) -> list[Part]:
        """Return the versions that are set here."""
        return list(self._parts.values())

    # What parts and ends ask (`part.Host`, `path_end.EndHost`, `service.ServiceHost`); the rest is in `Resources`.

    def delivered(self, part: Part, lane: int, pair: Pair) -> None:
        """See `part.Host`."""
        if (end := self._ends.get(part.path)) is None or not part.in_use:
            return
        if (head := self._heads.get((part.path, part.version))) is not None:
            head.count(lane)
        end.delivered(part, lane, pair)

    def missed(self, part: Part, pair: Pair) -> None:
        """See `part.Host`."""
        if (end := self._ends.get(part.path)) is not None and part.in_use:
            # Others that were swapped at the same time may still be on their way here.
            self.timers.at(self.now_s + _SETTLED_S, end.missed, part, pair)

    def begun(self, part: Part, at_s: float) -> None:
        """See `part.Host`."""
        if (end := self._ends.get(part.path)) is not None:
            end.begun(part, at_s)

    def void(self, sequences: frozenset[int]) -> None:
        """See `path_end.EndHost`."""
        self.service.void(sequences)

    def keep(self, part: Part, pair: Pair, identity: PairId) -> bool:
        """See `path_end.EndHost`."""
        return self.service.offer(part, pair, identity)

    def measured(self, part: Part, identity: PairId, basis: str, bit: int) -> None:
        """See `path_end.EndHost`."""
        self.service.offer_measured(part, identity, basis, bit)

    def goodness(self, part: Part) -> float:
        """See `service.ServiceHost`."""
        end = self._ends.get(part.path)
        estimate = None if end is None else end.tests.estimate(self.now_s)
        return part.entry.fidelity if estimate is None else estimate.fidelity

    def tell_other_end(self, part: Part, message: PathMessage) -> None:
        """See `path_end.EndHost`."""
        neighbour = part.route.right if part.route.place == 0 else part.route.left
        if neighbour is not None:
            self.send(neighbour, message)

    # Its own.

    def _offer_memories(self) -> None:
        super()._offer_memories()
        for part in self._parts.values():
            if part.phase is Phase.ACTIVE and part.memories_freed():
                self._resync(part)

    def _look(self) -> None:
        """Look after the ends of paths, and test links, now and then."""
        for path, end in self._ends.items():
            end.look([part for (name, _), part in self._parts.items() if name == path])
        parts = self._parts.values()
        for link in self._links.values():
            if self.node < link.neighbour and self.hears(link.neighbour) and not link.cut:  # dark, not weak
                try_link(link, parts, self.random, _LOOK_EVERY_S, self.now_s)
        self._looking = bool(self._ends or self._links)
        if self._looking:
            self.timers.at(self.now_s + _LOOK_EVERY_S, self._look)

    def _remove(self, key: Key) -> None:
        self._parts.pop(key).drop()
        if (head := self._heads.pop(key, None)) is not None:
            head.close()

    def _link_changed(self, name: str) -> None:
        for part in self._parts.values():
            for hop in part.route.hops:
                if hop.link == name:
                    part.hop_changed(hop)

    def _hello(self, neighbour: str, message: PairHello) -> None:
        self._decay_rates[neighbour] = message.decay_rate
        for condition in message.conditions:
            self._condition(neighbour, condition)
        for part in self._parts.values():
            if neighbour in (part.route.left, part.route.right):
                self._resync(part)

    def _condition(self, neighbour: str, condition: LinkCondition) -> None:
        link = self._links.get(condition.link)
        if link is not None and link.neighbour == neighbour and link.far != condition:
            link.far = condition
            self._link_changed(link.name)

    def _resync(self, part: Part) -> None:
        if (head := self._heads.get((part.path, part.version))) is not None:
            head.resync()
        else:
            part.ask_head()

    def _control(self, part: Part, neighbour: str, message: PathMessage) -> None:
        """Take what goes along a path, and pass it on unless it has arrived."""
        route = part.route
        if isinstance(message, Activate):
            if neighbour == route.left:
                self._activate(part, message)
            return
        onward = route.right if neighbour == route.left else route.left
        if isinstance(message, Activated) and message.generation == part.generation:
            part.slot_s = max(message.slot_s, part.longest_attempt_s())
            part.activated()
        if onward is not None:
            self.send(onward, message)
            return
        if isinstance(message, Resync):
            self._resync(part)
        elif isinstance(message, Activated):
            if (head := self._heads.get((part.path, part.version))) is not None:
                head.answered(message)
        elif isinstance(message, Swept):
            if part.in_use:
                part.handle(neighbour, message)
        elif isinstance(message, Outcomes | Confirm | Recent) and (end := self._ends.get(part.path)) is not None:
            end.told(part, message)

    def _activate(self, part: Part, message: Activate) -> None:
        route = part.route
        if route.place == 0 or route.left is None:
            return
        if message.generation < part.generation:
            self.send(route.left, Activated(part.path, part.version, part.generation))
            return
        slot_s = max(message.slot_s, part.longest_attempt_s())
        # Passed on before it is followed, so that the next node is ready for what comes of it.
        if route.right is not None:
            self.send(route.right, message._replace(slot_s=slot_s))
        else:
            self.send(route.left, Activated(part.path, part.version, message.generation, slot_s))
        if message.generation > part.generation:
            at_s = near(message.at_s, self.now_s)
            if message.active:
                part.start(message.generation, at_s, message.seed)
                if route.right is None:
                    part.slot_s = slot_s
                    part.activated()
            else:
                part.stop(message.generation, at_s)
