"""Prints what a fleet of agents costs and carries, one JSON object a line: python -m tests.bench.agent_throughput.

It judges nothing. Everything runs as real processes on this machine: the controller, all agents in one fleet, and
this program as two applications. Name figures to have only those: idle tokyo-2010 line-50 activation throughput.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Final

from tests.support.daemons import Daemon, World
from tests.support.operator_calls import wait_until
from tests.support.topology_text import topology_yaml

_TOPOLOGIES: Final = Path(__file__).parents[2] / "topologies"
_IDLE_S: Final = 20.0
_FETCH_S: Final = 10.0
_RELAYS: Final = 10
_KEYS_AT_ONCE: Final = 128
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")


class Network(World):
    """A network whose controller keeps the intervals that operators get by default, not the tests' short ones."""

    def controller_config(self, name: str = "controller.yaml", **changes: str) -> Path:
        """Write the controller's configuration."""
        south = self.addresses.get("southbound", "127.0.0.1:0")
        return super().controller_config(name, southbound=f'{{listen: "{south}"}}', **changes)


@contextmanager
def network(folder: Path, topology: str | Path, *, history_s: float) -> Iterator[Network]:
    """Run a controller and a fleet; every agent is connected and up to date when it is yielded."""
    if isinstance(topology, str):
        (folder / "topology.yaml").write_text(topology)
        topology = folder / "topology.yaml"
    made = Network(directory=folder, topology=topology)
    try:
        made.start_controller()
        made.start_fleet(history_s=history_s)
        wait_until(
            lambda: all(agent.connected and agent.up_to_date for agent in made.agents().values()),
            "every agent to connect",
            300.0,
        )
        yield made
    finally:
        made.close()


def cpu_s(daemon: Daemon) -> float:
    """Return how long a process has computed so far."""
    fields = Path(f"/proc/{daemon.process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def memory_mib(daemon: Daemon) -> float:
    """Return how much memory a process holds."""
    pages = Path(f"/proc/{daemon.process.pid}/statm").read_text(encoding="ascii").split()[1]
    return round(int(pages) * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)


def files(daemon: Daemon) -> int:
    """Return how many files and sockets a process has open."""
    return len(os.listdir(f"/proc/{daemon.process.pid}/fd"))


def named(world: World, name: str) -> Daemon:
    """Return a running process of a world."""
    return next(daemon for daemon in world.running if daemon.name == name)


def line_of(nodes: int, skr_bit_per_s: float, block_s: float = 5.0) -> str:
    """Return a line as a topology file."""
    links = [(f"l{each:02}", f"n{each:02}", f"n{each + 1:02}") for each in range(nodes - 1)]
    return topology_yaml(f"line-{nodes}", links, skr_bit_per_s=skr_bit_per_s, block_s=block_s)


def starting_and_idling(name: str, topology: str | Path, history_s: float) -> dict[str, object]:
    """Measure how long a fleet takes until every agent is connected and up to date, and what it costs when idle."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        with network(Path(folder), topology, history_s=history_s) as world:
            ready_s = time.monotonic() - began
            fleet = named(world, "fleet")
            start_cpu_s = cpu_s(fleet)
            time.sleep(_IDLE_S / 2)
            before_s, began = cpu_s(fleet), time.monotonic()
            time.sleep(_IDLE_S)
            percent = 100 * (cpu_s(fleet) - before_s) / (time.monotonic() - began)
            return {
                "figure": "idle",
                "topology": name,
                "agents": len(world.network.nodes),
                "connected_after_s": round(ready_s, 2),
                "start_cpu_s": round(start_cpu_s, 2),
                "cpu_percent_of_a_core": round(percent, 1),
                "cpu_percent_per_agent": round(percent / len(world.network.nodes), 2),
                "memory_mib": memory_mib(fleet),
                "open_files": files(fleet),
                "lost_sessions": fleet.said().count("no session node="),
            }


def activating() -> Iterator[dict[str, object]]:
    """Measure the time from the order of a relay over three hops to ACTIVE, one relay after the other."""
    with (
        tempfile.TemporaryDirectory() as folder,
        network(Path(folder), line_of(4, 200_000.0), history_s=120.0) as world,
    ):
        took_s = []
        for number in range(_RELAYS):
            began = time.monotonic()
            world.create(f"relay-{number}", "n00", "n03")
            world.active(f"relay-{number}")
            took_s.append(time.monotonic() - began)
        yield {
            "figure": "creation_to_active",
            "hops": 3,
            "relays": _RELAYS,
            "median_s": round(median(took_s), 3),
            "most_s": round(max(took_s), 3),
        }


def carrying() -> Generator[dict[str, object], None, None]:
    """Measure how much key a relay over three hops makes, and how many keys two applications get meanwhile."""
    with (
        tempfile.TemporaryDirectory() as folder,
        network(Path(folder), line_of(4, 1_500_000.0, block_s=1.0), history_s=20.0) as world,
    ):
        world.application("bench", ("bench.master", "n00"), ("bench.slave", "n03"))
        world.create("bench", "n00", "n03", 1_000_000.0, forward_share=1.0, application="applications/bench")
        world.active("bench")
        master, slave = world.client("bench.master"), world.client("bench.slave")
        fleet = named(world, "fleet")

        def stored() -> int:
            return int(master.status("bench.slave")["stored_key_count"])

        before, before_s, began = stored(), cpu_s(fleet), time.monotonic()
        time.sleep(_FETCH_S)
        made, took_s = stored() - before, time.monotonic() - began
        yield {
            "figure": "relay_throughput",
            "hops": 3,
            "bit_per_s": round(made * 256 / took_s),
            "keys_of_256_bit_per_s": round(made / took_s, 1),
            "fleet_cpu_percent_of_a_core": round(100 * (cpu_s(fleet) - before_s) / took_s, 1),
        }
        for size_bit in (256, 4096):
            keys, waits, before_s, began = 0, 0, cpu_s(fleet), time.monotonic()
            while time.monotonic() - began < _FETCH_S:
                count = min(_KEYS_AT_ONCE, stored() * 256 // size_bit)
                if not count:
                    waits += 1
                    time.sleep(0.01)
                    continue
                got = master.get_keys("bench.slave", count, size_bit)
                if slave.get_keys_with_ids("bench.master", [key.key_id for key in got]) != got:
                    raise ValueError("the two ends got different keys")
                keys += count
            took_s = time.monotonic() - began
            yield {
                "figure": "delivery_throughput",
                "hops": 3,
                "key_bit": size_bit,
                "keys_per_s": round(keys / took_s, 1),
                "bit_per_s": round(keys * size_bit / took_s),
                "fleet_cpu_percent_of_a_core": round(100 * (cpu_s(fleet) - before_s) / took_s, 1),
                "waits_for_stock": waits,
            }


_FIGURES: Final[dict[str, Callable[[], Iterator[dict[str, object]]]]] = {
    "tokyo-2010": lambda: iter([starting_and_idling("tokyo-2010", _TOPOLOGIES / "tokyo-2010.yaml", 3600.0)]),
    "line-50": lambda: iter([starting_and_idling("line-50", line_of(50, 20_000.0), 600.0)]),
    "activation": activating,
    "throughput": carrying,
}


def main() -> int:
    """Print the figures that were named, or all."""
    for name in sys.argv[1:] or _FIGURES:
        for figure in _FIGURES[name]():
            print(json.dumps(figure), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
