"""Prints a few figures of speed, one JSON object a line: python -m tests.bench.figures. It judges nothing."""

import json
import random
import secrets
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from apps.restoration import Restoration
from apps.retry_blocked import RetryBlocked
from controller.domain.events import AgentConnected
from controller.domain.key_relay import Demand, KeyRelay
from controller.domain.log import LogRecord
from controller.domain.snapshot import AgentRecord, Snapshot
from controller.routing.graph import graph_of
from controller.routing.key_relay import find_route
from controller.service.core import Core, Now
from controller.service.requests import Create
from controller.store.sqlite import SqliteStore
from controller.wire.entries import entry_to_bytes
from southbound.agent.keyplane.gf128 import PolynomialHash
from tests.support.networks import network

_NODES, _LINKS, _SEED = 100, 200, 1
_FOR_S = 2.0


def random_network() -> Snapshot:
    """Return a connected network of 100 nodes and 200 links: a tree, and random links between others."""
    chance = random.Random(_SEED)
    ends = [(chance.randrange(node), node) for node in range(1, _NODES)]
    while len(ends) < _LINKS:
        ends.append(tuple(chance.sample(range(_NODES), 2)))  # type: ignore[arg-type]
    return network((f"l{number:03}", f"n{a:03}", f"n{b:03}", 1_000_000) for number, (a, b) in enumerate(ends))


def demands(count: int) -> Iterator[Demand]:
    """Yield demands of 1 bit/s between random ends."""
    chance = random.Random(_SEED)
    for _ in range(count):
        source, target = chance.sample(range(_NODES), 2)
        yield Demand(source=f"n{source:03}", target=f"n{target:03}", rate_millibit_per_s=1000)


def per_second(work: Callable[[], object]) -> float:
    """Return how often it can be done in a second, by doing it for two."""
    done, began = 0, time.perf_counter()
    while time.perf_counter() - began < _FOR_S:
        work()
        done += 1
    return done / (time.perf_counter() - began)


def tagging() -> dict[str, object]:
    """Measure how many bytes an agent tags in a second, in messages of one large chunk."""
    hashing, message, mask = PolynomialHash(secrets.token_bytes(16)), secrets.token_bytes(1024), secrets.token_bytes(16)
    rate = per_second(lambda: hashing.tag(message, mask))
    return {"figure": "tagging", "bytes_per_s": round(rate * len(message))}


def routing() -> dict[str, object]:
    """Measure how long one route takes, the graph being at hand."""
    snapshot = random_network()
    graph, wanted = graph_of(snapshot), demands(10**9)
    rate = per_second(lambda: find_route(graph, next(wanted)))
    return {"figure": "route", "nodes": _NODES, "links": _LINKS, "ms": round(1000 / rate, 3)}


def creating(batch: int) -> dict[str, object]:
    """Measure how many relays are decided and made durable in a second, so many to a commit."""
    snapshot = random_network()
    core = Core(snapshot, [Restoration(), RetryBlocked()], entry_to_bytes)
    now = Now(service_ms=0, wall_ms=0)
    for node in snapshot.nodes:
        record = AgentRecord(node=node, store_id=node, peer_address="h:1", delivery_address="h:2")
        core.take(AgentConnected(record=record, version=0, in_force={}), now)
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteStore(Path(folder) / "bench.db")
        election = store.open_term()
        wanted = enumerate(demands(10**9))
        core.committed(0)

        def one_commit() -> None:
            for _ in range(batch):
                number, demand = next(wanted)
                core.decide(Create(document=KeyRelay(name=f"r{number}", demand=demand)), now)
            revision = core.snapshot.revision + 1
            store.commit(LogRecord(revision=revision, election=election, changes=core.take_changes()), revision - 1)
            core.committed(revision)
            core.configuration.take_pushes()

        rate = per_second(one_commit)
        store.close()
    return {"figure": "relay_creation", "per_commit": batch, "relays_per_s": round(rate * batch, 1)}


def main() -> int:
    """Print every figure."""
    for measure in (tagging, routing, lambda: creating(1), lambda: creating(64)):
        print(json.dumps(measure()), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
