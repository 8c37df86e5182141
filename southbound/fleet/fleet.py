"""Many agents of a topology in one process, and faults to order."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from controller.domain.refusals import InvalidValue, NotFound
from southbound.agent.drivers.simulated import HISTORY_S, Condition, SimulatedChannel
from southbound.agent.lab_hooks import LabHooks
from southbound.agent.node import Agent, AgentPlan
from southbound.agent.pair_faults import SOUND, PairCondition, PairFaults
from southbound.agent.plan import SimulatedNetwork, agent_plan
from southbound.agent.uplink import ControllerAddress

log = logging.getLogger(__name__)

_STARTED_AT_ONCE: Final = 4
_LONGEST_DELAY_MS: Final = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetPlan:
    """What a fleet is started with.

    Attributes:
        network: Of which every node but those in `left_out` runs here.
        state_dir: Holds one directory for each node.
        left_out: Nodes whose agents somebody else runs.
        host: Listened on; each agent takes ports of its own.
    """

    network: SimulatedNetwork
    pki: Path
    controllers: Sequence[ControllerAddress]
    state_dir: Path
    left_out: frozenset[str] = field(default_factory=frozenset)
    host: str = "127.0.0.1"
    history_s: float = HISTORY_S


class Fleet:
    """A running fleet. Faults of a link hit both its ends as far as they run here."""

    def __init__(self, plan: FleetPlan) -> None:
        """Prepare.

        Raises:
            NotFound: A node that is left out does not exist.
            TlsRefused: A node's certificate cannot be used.
        """
        for name in plan.left_out:
            plan.network.node(name)
        self._network = plan.network
        self._hooks = {node.name: LabHooks() for node in plan.network.topology.nodes if node.name not in plan.left_out}
        plans = {
            node.name: agent_plan(
                plan.network,
                node.name,
                pki=plan.pki,
                controllers=plan.controllers,
                state_dir=plan.state_dir / node.name,
                peer_listen=(plan.host, 0),
                delivery_listen=(plan.host, 0),
                history_s=plan.history_s,
            )
            for node in plan.network.topology.nodes
            if node.name not in plan.left_out
        }
        self._pair_faults = PairFaults()
        self._plans = {
            name: replace(made, hooks=self._hooks[name], pair_faults=self._pair_faults) for name, made in plans.items()
        }
        self._agents: dict[str, Agent] = {}
        self._watches: dict[str, asyncio.Task[None]] = {}
        self._changing = asyncio.Lock()

    @property
    def plans(self) -> Mapping[str, AgentPlan]:
        """Return what each node of this fleet is started with."""
        return self._plans

    @property
    def agents(self) -> Mapping[str, Agent]:
        """Return the agents that run."""
        return self._agents

    @property
    def channels(self) -> Mapping[str, SimulatedChannel]:
        """Return the simulated channels, by link."""
        return self._network.channels

    @property
    def pair_conditions(self) -> Mapping[str, PairCondition]:
        """Return the faults in force on links that make pairs, by link, of all that there are."""
        return {link: self._pair_faults.of(link) for link in self._network.pair_models}

    async def start(self) -> None:
        """Start every agent; all or none.

        Raises:
            Refusal: A state directory or an address cannot be used.
        """
        few = asyncio.Semaphore(_STARTED_AT_ONCE)

        async def one(name: str) -> None:
            async with few:
                await self._start(name)

        results = await asyncio.gather(*(one(name) for name in self._plans), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                await self.stop()
                raise result

    async def stop(self) -> None:
        """Stop every agent in good order. Safe to repeat."""
        async with self._changing:
            watches, self._watches = list(self._watches.values()), {}
            for watch in watches:
                watch.cancel()
            await asyncio.gather(*watches, return_exceptions=True)
            agents, self._agents = list(self._agents.values()), {}
            await asyncio.gather(*(agent.stop() for agent in agents))

    async def crash(self, node: str) -> bool:
        """Stop a node's agent as if its process were killed; return whether it ran.

        Raises:
            NotFound: This fleet has no such node.
        """
        self._require_node(node)
        async with self._changing:
            return await self._drop(node)

    async def restart(self, node: str) -> bool:
        """Start a crashed agent from its store; return whether it did not run.

        Raises:
            NotFound: This fleet has no such node.
        """
        self._require_node(node)
        async with self._changing:
            if node in self._agents:
                return False
            await self._start(node)
            return True

    def cut(self, link: str) -> bool:
        """Cut a link's fibre; return whether that changes anything, as the others do.

        Raises:
            NotFound: There is no such link.
        """
        if self._makes_pairs(link):
            return self._order_pairs(link, replace(self._pair_faults.of(link), cut=True))
        return self._order(link, replace(self._condition(link), cut=True))

    def repair(self, link: str) -> bool:
        """Make a link as new again.

        Raises:
            NotFound: There is no such link.
        """
        return self._order_pairs(link, SOUND) if self._makes_pairs(link) else self._order(link, Condition())

    def rate(self, link: str, factor: float) -> bool:
        """Leave a part of a link's rate: of its key, or of the success of its attempts at pairs.

        Raises:
            NotFound: There is no such link.
            InvalidValue: The factor is not in [0, 1].
        """
        if not 0.0 <= factor <= 1.0:
            raise InvalidValue(f"links/{link}", ("factor", f"{factor} is not in [0, 1]"))
        if self._makes_pairs(link):
            return self._order_pairs(link, replace(self._pair_faults.of(link), factor=factor))
        return self._order(link, replace(self._condition(link), factor=factor))

    def fidelity(self, link: str, factor: float) -> bool:
        """Have the pairs of a link get worse: the factor is on their Werner parameter (4F - 1) / 3, and 1 ends it.

        Raises:
            NotFound: There is no such link.
            InvalidValue: The factor is not in [0, 1], or the link makes no pairs.
        """
        if not 0.0 <= factor <= 1.0:
            raise InvalidValue(f"links/{link}", ("factor", f"{factor} is not in [0, 1]"))
        if not self._makes_pairs(link):
            self._channel(link)
            raise InvalidValue(f"links/{link}", ("fidelity", "makes key, and no pairs: order qber"))
        return self._order_pairs(link, replace(self._pair_faults.of(link), werner_factor=factor))

    def qber(self, link: str, qber: float) -> bool:
        """Have a link's modules measure that from the block on that runs now.

        Raises:
            NotFound: There is no such link.
            InvalidValue: The QBER is not in [0, 0.5], or the link makes pairs.
        """
        if not 0.0 <= qber <= 0.5:
            raise InvalidValue(f"links/{link}", ("qber", f"{qber} is not in [0, 0.5]"))
        if self._makes_pairs(link):
            raise InvalidValue(f"links/{link}", ("qber", "makes pairs, and no key: order fidelity"))
        return self._order(link, replace(self._condition(link), qber=qber))

    def lie(self, node: str, *, lies: bool) -> bool:
        """Have a node change the keys that it passes on, with valid tags; return whether that changes anything.

        Raises:
            NotFound: This fleet has no such node.
        """
        self._require_node(node)
        changed, self._hooks[node].lies = self._hooks[node].lies is not lies, lies
        return self._told(node, changed, "lies", lies)

    def slow(self, node: str, delay_ms: int) -> bool:
        """Have an agent obey its controller so late; 0 ends it. Return whether that changes anything.

        Raises:
            NotFound: This fleet has no such node.
            InvalidValue: The delay is longer than a minute.
        """
        self._require_node(node)
        if not 0 <= delay_ms <= _LONGEST_DELAY_MS:
            raise InvalidValue(f"nodes/{node}", ("delay_ms", f"{delay_ms} is not in [0, {_LONGEST_DELAY_MS}]"))
        delay_s = delay_ms / 1000
        changed, self._hooks[node].delay_s = self._hooks[node].delay_s != delay_s, delay_s
        return self._told(node, changed, "delay_s", delay_s)

    def clock(self, node: str, *, lost: bool) -> bool:
        """Have an agent lose its clock, or find it again; return whether that changes anything.

        Raises:
            NotFound: This fleet has no such node.
        """
        self._require_node(node)
        changed, self._hooks[node].clock_lost = self._hooks[node].clock_lost is not lost, lost
        if changed and node in self._agents:
            self._agents[node].clock_changed()
        return self._told(node, changed, "clock_lost", lost)

    @staticmethod
    def _told(node: str, changed: bool, what: str, value: object) -> bool:
        if changed:
            log.warning("fault ordered node=%s %s=%s", node, what, value)
        return changed

    def _condition(self, link: str) -> Condition:
        return self._channel(link).condition

    def _channel(self, link: str) -> SimulatedChannel:
        channel = self._network.channel(link)
        if channel is None:
            known = ", ".join([*self.channels, *self._network.pair_models])
            raise NotFound(f"links/{link}", hint=f"this fleet has {known}")
        return channel

    def _makes_pairs(self, link: str) -> bool:
        return self._network.pair_model(link) is not None

    def _order_pairs(self, link: str, condition: PairCondition) -> bool:
        if not self._pair_faults.order(link, condition):
            return False
        log.warning(
            "fault ordered link=%s cut=%s factor=%g werner_factor=%g",
            link,
            condition.cut,
            condition.factor,
            condition.werner_factor,
        )
        return True

    def _order(self, link: str, condition: Condition) -> bool:
        if condition == self._condition(link):
            return False
        clock = next(iter(self._plans.values())).clock
        self._channel(link).order(condition, clock.wall_ms())
        log.warning(
            "fault ordered link=%s cut=%s factor=%g qber=%s", link, condition.cut, condition.factor, condition.qber
        )
        return True

    def _require_node(self, node: str) -> None:
        if node not in self._plans:
            raise NotFound(f"nodes/{node}", hint=f"this fleet has {', '.join(self._plans)}")

    async def _start(self, name: str) -> None:
        agent = await Agent.start(self._plans[name])
        self._agents[name] = agent
        self._watches[name] = asyncio.create_task(self._watch(name, agent), name=f"watch-{name}")

    async def _watch(self, name: str, agent: Agent) -> None:
        await agent.failed.wait()
        async with self._changing:
            if self._agents.get(name) is agent:
                # It has said what failed; the others go on, as they would if it were a process.
                del self._agents[name]
                await agent.crash()

    async def _drop(self, name: str) -> bool:
        if (watch := self._watches.pop(name, None)) is not None:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
        if (agent := self._agents.pop(name, None)) is None:
            return False
        await agent.crash()
        log.warning("agent crashed by order node=%s", name)
        return True
