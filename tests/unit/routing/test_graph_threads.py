"""Graphs made at the same time by several threads, each of another snapshot: what is kept between them is shared."""

import random
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from controller.domain.snapshot import Snapshot, put
from controller.routing import graph as graphs
from controller.routing.graph import graph_of
from tests.support.networks import network


def history(dice: random.Random) -> list[Snapshot]:
    """Return a network as it was and as it became, one change at a time."""
    snapshots = [network((f"l{at:02}", f"n{at:02}", f"n{(at + 1) % 12:02}", 1000 + at) for at in range(12))]
    for number in range(16):
        now = snapshots[-1]
        link = now.links[dice.choice(sorted(now.links))]
        if number % 3 == 0:
            snapshots.append(now.applying(put(replace(link, admin_enabled=not link.admin_enabled))))
        elif number % 3 == 1:
            snapshots.append(replace(now, connected=now.connected ^ {link.nodes[0]}))
        else:
            snapshots.append(now.applying(put(replace(link, model_skr_millibit_per_s=dice.randrange(10**6)))))
    return snapshots


def test_each_thread_gets_the_graph_of_its_own_snapshot(monkeypatch: pytest.MonkeyPatch) -> None:
    snapshots = history(random.Random(1))
    alone = []
    for snapshot in snapshots:
        monkeypatch.setattr(graphs, "_last_ground", None)
        alone.append(graph_of(snapshot))

    def right(seed: int) -> bool:
        dice = random.Random(seed)
        return all(graph_of(snapshots[one]) == alone[one] for one in dice.choices(range(len(snapshots)), k=300))

    often = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(4) as pool:
            assert all(pool.map(right, range(4)))
    finally:
        sys.setswitchinterval(often)
