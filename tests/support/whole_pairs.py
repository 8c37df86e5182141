"""The pair engines of a whole network under one virtual clock; order, loss and crashes are the test's to choose."""

import random
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final

from controller.domain.node import Node
from controller.domain.pair_link import PairHardware, PairModel
from controller.domain.snapshot import Snapshot
from qinet.southbound.v1 import agent_pb2 as pb
from southbound.agent import configuration as rules
from southbound.agent.configuration import Configuration
from southbound.agent.pair_entries import PairMeans
from southbound.agent.pair_reports import PairTotals, pair_link_report, path_report
from southbound.agent.pairs import PairEngine, PathChanged, Send
from southbound.agent.pairs.messages import Message

Streams = dict[frozenset[str], dict[str, deque[Message]]]
_TOGETHER: Final = 64
"""Most messages of one direction that a node takes in one go."""


class NodePairs:
    """One node's engine, running or not, and the faults of its links, which outlive it."""

    def __init__(self, node: Node, models: Mapping[str, PairModel], streams: Streams, seed: int) -> None:
        assert node.pairs is not None
        self.name = node.name
        self.hardware: PairHardware = node.pairs
        self.models = models
        self.means = PairMeans(hardware=self.hardware, model=models.get)
        self.engine: PairEngine | None = None
        self.life = 0
        self.changed: set[str] = set()
        """Paths of which something is to be told at once."""
        self._streams = streams
        self._chance = random.Random(f"{seed} {node.name}")
        self._faults: dict[str, tuple[float, float, bool]] = {}
        self._now_s = 0.0

    def start(self, configuration: Configuration, now_s: float) -> None:
        """Begin with nothing but what is configured."""
        self.life += 1
        self.changed.clear()
        self.engine = PairEngine(
            self.name, self.hardware, random.Random(self._chance.random()), now_s=now_s, announce=False
        )
        self.configure(configuration, now_s)

    def stop(self) -> None:
        """End, telling nobody."""
        self.engine = None

    def configure(self, configuration: Configuration, now_s: float) -> None:
        """Follow what is set."""
        if self.engine is None:
            return
        wanted = {entry.link: entry for entry in rules.link_entries(configuration).values() if entry.entanglement}
        for link, model in self.models.items():
            if link in wanted:
                entry = wanted[link]
                self.engine.set_link(link, entry.neighbour, model, now_s, enabled=entry.enabled)
                self._apply(link, now_s)
            else:
                self.engine.remove_link(link, now_s)
        refused = self.engine.set_paths(rules.path_entries(configuration), now_s)
        assert not refused, refused
        self.carry_out()

    def order(
        self, link: str, now_s: float, *, factor: float = 1.0, werner_factor: float = 1.0, cut: bool = False
    ) -> None:
        """Have a fault of a link begin or end."""
        self._faults[link] = factor, werner_factor, cut
        self._apply(link, now_s)
        self.carry_out()

    def _apply(self, link: str, now_s: float) -> None:
        factor, werner_factor, cut = self._faults.get(link, (1.0, 1.0, False))
        if self.engine is not None:
            self.engine.fault(link, now_s, success_factor=factor, werner_factor=werner_factor, cut=cut)

    def carry_out(self) -> None:
        """Do what the engine asks for."""
        if self.engine is None:
            return
        for effect in self.engine.drain():
            match effect:
                case Send(neighbour=neighbour, message=message):
                    stream = self._streams.get(frozenset((self.name, neighbour)))
                    if stream is not None:
                        stream[neighbour].append(message)
                case PathChanged(path=path):
                    self.changed.add(path)

    def link_reports(self, configuration: Configuration) -> list[pb.LinkReport]:
        """Return what it tells of its links."""
        figures = {} if self.engine is None else {one.link: one for one in self.engine.link_figures()}
        entries = rules.link_entries(configuration)
        return [
            pair_link_report(
                link,
                entry=entries.get(link),
                figures=figures.get(link),
                down_reason="cut" if self._faults.get(link, (1.0, 1.0, False))[2] else "",
                totals=PairTotals(None),
                unreachable=False,
            )
            for link in self.models
        ]

    def path_reports(self) -> list[pb.PathReport]:
        """Return what it tells of the paths that end here."""
        figures = [] if self.engine is None else self.engine.path_figures()
        return [path_report(one, totals=PairTotals(None), sifted_bit=0) for one in figures]


class WholePairs:
    """All engines, and the streams between neighbours."""

    def __init__(self, network: Snapshot, *, seed: int) -> None:
        self.streams: Streams = {}
        self.links = {name: link for name, link in network.links.items() if link.pairs is not None}
        self._lives: dict[frozenset[str], tuple[int, int]] = {}
        self.nodes: dict[str, NodePairs] = {}
        for name, node in network.nodes.items():
            if node.pairs is not None:
                models = {link.name: link.pairs for link in self.links.values() if name in link.nodes and link.pairs}
                self.nodes[name] = NodePairs(node, models, self.streams, seed)

    def tend(self, cut_off: Iterable[frozenset[str]], now_s: float) -> None:
        """End streams of engines that are gone, and set up those that are missing and may stand."""
        barred = set(cut_off)
        for pair in sorted({frozenset(link.nodes) for link in self.links.values()}, key=sorted):
            one, other = (self.nodes[name] for name in sorted(pair))
            lives = one.life, other.life
            if pair in self.streams and (
                self._lives[pair] != lives or pair in barred or not (one.engine and other.engine)
            ):
                del self.streams[pair]
                for node, neighbour, life in ((one, other, self._lives[pair][0]), (other, one, self._lives[pair][1])):
                    if node.engine is not None and node.life == life:
                        node.engine.peer_down(neighbour.name, now_s)
                        node.carry_out()
            if pair not in self.streams and pair not in barred and one.engine and other.engine:
                self.streams[pair] = {one.name: deque(), other.name: deque()}
                self._lives[pair] = lives
                one.engine.peer_up(other.name, now_s)
                other.engine.peer_up(one.name, now_s)
                one.carry_out()
                other.carry_out()

    def tick(self, now_s: float) -> None:
        """Let every engine do what is due."""
        for node in self.nodes.values():
            if node.engine is not None:
                node.engine.tick(now_s)
                node.carry_out()

    def moves(self) -> list[tuple[frozenset[str], str]]:
        """Return every direction of a stream on which messages wait, by its receiver."""
        return [
            (pair, receiver)
            for pair, queues in sorted(self.streams.items(), key=lambda item: sorted(item[0]))
            for receiver, queue in sorted(queues.items())
            if queue
        ]

    def move(self, pair: frozenset[str], receiver: str, now_s: float) -> bool:
        """Deliver the next messages of one direction; False when there are none."""
        queue = self.streams.get(pair, {}).get(receiver)
        node = self.nodes[receiver]
        if not queue or node.engine is None:
            return False
        (sender,) = pair - {receiver}
        for _ in range(min(_TOGETHER, len(queue))):
            node.engine.handle(sender, queue.popleft(), now_s)
        node.carry_out()
        return True
