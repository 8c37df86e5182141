"""Turns of the writer while entanglement paths are created on SURFnet: python -m tests.bench.turns [PATHS [INSIDE]].

The real writer and desk with a store in memory, agents that obey at once, no network between. Some paths are easy, and
some ask for a fidelity that is hard to reach. With a second argument the writer searches itself, as long as it takes:
what was so before searches ran beside it.
"""

import asyncio
import random
import statistics
import sys
import time
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry

from apps.restoration import Restoration
from apps.retry_blocked import RetryBlocked
from controller.config.topology_file import load_topology
from controller.domain.entanglement_path import EntanglementPath, PairDemand
from controller.domain.events import AgentConnected
from controller.domain.refusals import Refusal
from controller.domain.snapshot import AgentRecord
from controller.northbound.proposing import ProposingDesk
from controller.northbound.route_search import RouteSearch
from controller.observability.metrics import Metrics
from controller.ports.clock import SystemClock
from controller.routing.entanglement.find import STEPS
from controller.routing.places import find_place
from controller.service.requests import ApplyTopology, Create, Request, Result
from controller.service.writer import Writer
from controller.store.memory import MemoryStore
from controller.wire.entries import entry_to_bytes
from tests.bench.line import tell
from tests.integration.northbound.world import ObedientAgents

PATHS: Final = 50
IN_FLIGHT: Final = 8
_FIDELITIES: Final = (0.8, 0.85, 0.85, 0.9, 0.95)
_TOPOLOGY: Final = Path(__file__).parents[2] / "topologies" / "surfnet.yaml"


class _Observed:
    """Keeps what a histogram would count."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def observe(self, seconds: float) -> None:
        """Keep a figure."""
        self.seconds.append(seconds)


async def _measured(paths: int, *, inside: bool) -> dict[str, object]:
    agents, metrics, turns = ObedientAgents(), Metrics(CollectorRegistry()), _Observed()
    metrics.turn_seconds = turns  # type: ignore[assignment]
    deaths: list[BaseException] = []
    apps: list[Any] = [Restoration(), RetryBlocked()]
    writer = Writer(
        store=MemoryStore(),
        apps=apps,
        encode=entry_to_bytes,
        agents=agents,
        clock=SystemClock(),
        metrics=metrics,
        loop=asyncio.get_running_loop(),
        on_death=deaths.append,
    )
    writer.start()
    agents.deliver = writer.deliver
    search = RouteSearch(metrics)
    desk = writer.desk if inside else ProposingDesk(writer.desk, search)
    found = load_topology(_TOPOLOGY)
    nodes = {node.name: node for node in found.nodes}
    await writer.desk.submit(ApplyTopology(nodes=nodes, links={link.name: link for link in found.links}))
    for node in nodes:
        done = asyncio.Event()
        record = AgentRecord(node=node, store_id="s", peer_address=f"{node}:1", delivery_address=f"{node}:2")
        revision = writer.desk.published.snapshot.revision
        assert writer.deliver(AgentConnected(record=record, in_force={}, version=revision), done.set)
        await done.wait()
    chance = random.Random(11)
    able = [name for name, node in nodes.items() if node.pairs is not None]
    waiting: list[Request] = []
    for number in range(paths):
        source, target = chance.sample(able, 2)
        fidelity = chance.choice(_FIDELITIES)
        demand = PairDemand(source=source, target=target, minimum_fidelity=fidelity, rate_millihertz=1000)
        waiting.append(Create(document=EntanglementPath(name=f"p{number}", demand=demand)))
    turns.seconds.clear()
    answers: list[Result | Refusal] = []
    waits_s: list[float] = []

    async def asking() -> None:
        while waiting:
            began = time.perf_counter()
            try:
                answers.append(await desk.submit(waiting.pop(0)))
            except Refusal as refusal:
                answers.append(refusal)
            waits_s.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(asking() for _ in range(IN_FLIGHT)))
    took_s = time.perf_counter() - began
    await asyncio.to_thread(writer.stop)
    search.close()
    assert not deaths
    in_order = sorted(turns.seconds)
    return {
        "work": "entanglement paths created on SURFnet",
        "search": "in the writer" if inside else "beside the writer",
        "paths": paths,
        "routed": sum(isinstance(answer, Result) for answer in answers),
        "refused": sorted({answer.reason for answer in answers if isinstance(answer, Refusal)}),
        "took_s": round(took_s, 2),
        "answer_median_s": round(statistics.median(waits_s), 3),
        "answer_worst_s": round(max(waits_s), 3),
        "turns": len(in_order),
        "turn_median_ms": round(statistics.median(in_order) * 1000, 2),
        "turn_99th_ms": round(in_order[int(0.99 * (len(in_order) - 1))] * 1000, 2),
        "turn_worst_ms": round(in_order[-1] * 1000, 2),
    }


def measure(paths: int = PATHS, *, inside: bool = False) -> dict[str, object]:
    """Create so many paths, some at once, and return how long the turns of the writer took meanwhile."""
    if inside:
        assert find_place.__kwdefaults__ is not None
        find_place.__kwdefaults__["steps"] = STEPS
    return asyncio.run(_measured(paths, inside=inside))


def main() -> int:
    """Measure once."""
    tell(measure(int(sys.argv[1]) if len(sys.argv) > 1 else PATHS, inside=len(sys.argv) > 2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
