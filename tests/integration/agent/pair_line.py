"""Nodes in a line whose links make pairs, under a controller that does what a test says, over real streams."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from controller.domain.entries import Entry, LinkEntry, PathEntry
from controller.domain.link import Link, LinkEnd, LinkKind
from controller.domain.node import Capability, Interface, Node, Technology
from controller.domain.pair_link import PairHardware, PairModel, PairOption, Regime
from controller.domain.path_plan import HopPlan, SwapStep
from qinet.southbound.v1 import agent_pb2 as pb
from southbound.agent.drivers.module import Module
from southbound.agent.node import Agent, AgentPlan
from southbound.agent.pair_faults import PairFaults
from southbound.agent.uplink import ControllerAddress
from tests.integration.agent.scripted import Controller, certificate, eventually

HARDWARE = PairHardware(memories=8, coherence_s=10.0, swap_success=0.9, can_purify=True)
MODEL = PairModel(
    regime=Regime.MEMORY,
    attempt_period_s=0.0005,
    memory_pairs=4,
    options=(PairOption(success_probability=0.1, fidelity=0.99),),
)


@dataclass
class PairLine:
    """Nodes n0 - n1 - ..., their certificates, faults and agents, for one test."""

    directory: Path
    nodes: Sequence[str] = ("a", "b", "c")
    faults: PairFaults = field(default_factory=PairFaults)
    agents: dict[str, Agent] = field(default_factory=dict)
    hardware: dict[str, PairHardware] = field(default_factory=dict)
    model: PairModel = MODEL

    @property
    def links(self) -> dict[str, tuple[str, str]]:
        return {f"{one}-{other}": (one, other) for one, other in pairwise(self.nodes)}

    def plan(self, node: str, *controllers: ControllerAddress) -> AgentPlan:
        links = [
            Link(
                name=name,
                kind=LinkKind.ENTANGLEMENT,
                ends=(LinkEnd(node=ends[0], interface=2), LinkEnd(node=ends[1], interface=1)),
                model_skr_millibit_per_s=0,
                pairs=self.model,
            )
            for name, ends in self.links.items()
            if node in ends
        ]

        def no_module(_: str) -> Module | None:
            return None

        return AgentPlan(
            node=Node(
                name=node,
                capabilities=frozenset({Capability.ENTANGLEMENT}),
                interfaces=tuple(Interface(number=number, technology=Technology.ENTANGLEMENT) for number in (1, 2)),
            ),
            links=links,
            find_module=no_module,
            tls=certificate(self.directory, f"node/{node}"),
            controllers=controllers,
            state_dir=self.directory / "state" / node,
            pair_hardware=self.hardware.get(node, HARDWARE),
            find_pair_model=lambda link: self.model if link in self.links else None,
            pair_faults=self.faults,
            simulation_seed="lab",
        )


@dataclass
class RunningLine(PairLine):
    """The agents of a line, under a controller."""

    controller: Controller = field(kw_only=True)
    stack: AsyncExitStack = field(kw_only=True)

    async def start(self, *nodes: str) -> None:
        for node in nodes:
            agent = await Agent.start(self.plan(node, self.controller.address))
            self.agents[node] = agent
            self.stack.push_async_callback(agent.stop)

    async def configure(self, node: str, *entries: Entry, deletes: Sequence[str] = ()) -> pb.SessionRequest:
        return await self.controller.configure(node, entries, deletes)

    async def set_up(self, **changed: Any) -> None:
        """Start every node, and give each its links and the path."""
        await self.start(*self.nodes)
        for node in reversed(self.nodes):
            entry = self.path(**changed)
            answer = await self.configure(node, *self.link_entries(node, entry.key_link), entry)
            assert answer.HasField("ack"), answer

    def link_entries(self, node: str, key_link: str = "") -> list[Entry]:
        entries = [
            link_entry(name, ends[node == ends[0]], self.agents, entanglement=True)
            for name, ends in self.links.items()
            if node in ends
        ]
        if key_link and node in (self.nodes[0], self.nodes[-1]):
            far = self.nodes[-1 if node == self.nodes[0] else 0]
            entries.append(link_entry(key_link, far, self.agents, entanglement=False))
        return list(entries)

    def path(self, **changed: Any) -> PathEntry:
        entry = PathEntry(
            path="p1",
            route_version=1,
            nodes=tuple(self.nodes),
            hops=tuple(HopPlan(link=name, option=0, memory_pairs=2) for name in self.links),
            hop_lengths_m=(10_000,) * len(self.links),
            swaps=tuple(SwapStep(node=node, left=self.nodes[0], right=right) for node, right in self._swaps()),
            regime=Regime.MEMORY,
            lanes=2,
            test_share=0.1,
            rate_millihertz=20_000,
            fidelity=0.9,
            minimum_fidelity=0.8,
        )
        return replace(entry, **changed)

    def _swaps(self) -> list[tuple[str, str]]:
        return [(self.nodes[place], self.nodes[place + 1]) for place in range(1, len(self.nodes) - 1)]

    def ids(self, node: str) -> set[tuple[str, str, int]]:
        """Return the pairs that a node got of late."""
        room = self.agents[node].pairs
        assert room is not None
        return {(one.pair.head, one.pair.far, one.pair.sequence) for one in room.recent}

    async def delivered(self, count: int) -> None:
        """Wait until both ends have so many pairs in common."""
        one, other = self.nodes[0], self.nodes[-1]
        await eventually(lambda: len(self.ids(one) & self.ids(other)) >= count)


def link_entry(link: str, far: str, agents: dict[str, Agent], *, entanglement: bool) -> LinkEntry:
    return LinkEntry(
        link=link,
        local_interface=1,
        remote_interface=1,
        neighbour=far,
        neighbour_address=agents[far].peer_address,
        enabled=True,
        authentication_floor_bit=0,
        authentication_rate_millibit_per_s=0,
        qber_limit=0.11,
        key_ttl_s=3600,
        entanglement=entanglement,
        path="" if entanglement else "p1",
    )
