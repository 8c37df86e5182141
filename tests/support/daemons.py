"""A whole network as real processes on loopback: a controller, agents, and what they leave behind."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from controller.config.topology_file import TopologyFile, load_topology
from controller.identity.lab_ca import init_ca
from controller.identity.peers import Identity, Kind
from southbound.agent.keyplane.audit import audit
from southbound.agent.keyplane.ledger import LedgerEntry, LedgerKind, Purpose
from southbound.agent.storage import Storage
from tests.support.operator_calls import CONTROLLER, OPERATOR, WITHIN_S, Operator, wait_until

_STOP_WITHIN_S: Final = 15.0


@dataclass
class Daemon:
    """One process, the head of a process group of its own, and where it logs."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def said(self) -> str:
        """Return its log."""
        return self.log.read_text(errors="replace")

    def wait(self, within_s: float = WITHIN_S) -> int:
        """Wait until it ends by itself, and return its exit code."""
        return self.process.wait(within_s)

    def kill(self) -> None:
        """End it as `kill -9` does."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """Ask it to end, and see that it does."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(_STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not stop within {_STOP_WITHIN_S:g} s:\n{self.said()}") from None

    def leaves_nobody(self) -> bool:
        """Tell whether no process of its group is left."""
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return True
        return False


@dataclass
class World(Operator):
    """A network in one folder. Leave it with `close`: every process is stopped then, and must have gone.

    Attributes:
        topology: Path of the topology file.
        running: Every process that was started.
        agent_program: Module of the agent's command line.
    """

    topology: Path
    agent_program: str = "southbound.commands.main"
    running: list[Daemon] = field(default_factory=list)
    _starts: int = 0

    def __post_init__(self) -> None:
        self.topology = self.topology.resolve()
        self.network: TopologyFile = load_topology(self.topology)
        self.directory.mkdir(parents=True, exist_ok=True)
        init_ca(self.pki, now=datetime.now(UTC))
        self.certify(CONTROLLER, OPERATOR, *(Identity(Kind.NODE, node.name) for node in self.network.nodes))

    @property
    def store(self) -> Path:
        """Return the controller's store."""
        return self.directory / "controller.db"

    def spawn(self, name: str, module: str, *arguments: str | Path) -> Daemon:
        """Start a program of ours that is stopped at the end at the latest."""
        self._starts += 1
        log = self.directory / f"{name}-{self._starts}.log"
        with log.open("wb") as sink:
            process = subprocess.Popen(
                [sys.executable, "-m", module, *map(str, arguments)],
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        daemon = Daemon(name, process, log)
        self.running.append(daemon)
        return daemon

    def controller_config(self, name: str = "controller.yaml", **changes: str) -> Path:
        """Write a controller's configuration; ports are those of the last start, so that agents find it again."""
        north = self.addresses.get("northbound", "127.0.0.1:0")
        south = self.addresses.get("southbound", "127.0.0.1:0")
        lines = {
            "schema": "qinet-controller",
            "version": "1",
            "name": CONTROLLER.name,
            "pki": json.dumps(str(self.pki)),
            "topology": json.dumps(str(self.topology)),
            "store": f"{{kind: sqlite, path: {json.dumps(str(self.store))}}}",
            "northbound": f'{{listen: "{north}"}}',
            "southbound": f'{{listen: "{south}", heartbeat_interval_ms: 500, report_interval_ms: 250}}',
            "addresses": "controller.json",
            **changes,
        }
        path = self.directory / name
        path.write_text("".join(f"{key}: {value}\n" for key, value in lines.items()))
        return path

    def start_controller(self, **changes: str) -> Daemon:
        """Start the controller, with changes to its configuration, and wait until it listens."""
        told = self.directory / "controller.json"
        told.unlink(missing_ok=True)
        daemon = self.spawn("controller", "controller", "run", "--config", self.controller_config(**changes))
        self.addresses = self._told(daemon, told)
        return daemon

    def start_fleet(self, *left_out: str, history_s: float = 60.0) -> Daemon:
        """Start an agent for every node but some, and wait until all listen."""
        told = self.directory / "fleet" / "fleet.json"
        daemon = self.spawn(
            "fleet",
            self.agent_program,
            *("fleet", "--topology", self.topology, "--pki", self.pki, "--state", self.directory / "fleet"),
            *("--controller", self.addresses["southbound"], "--lab-listen", "127.0.0.1:0"),
            *("--history-s", str(history_s)),
            *(argument for node in left_out for argument in ("--except", node)),
        )
        self.fleet = self._told(daemon, told)
        return daemon

    def spawn_agent(self, node: str, state: Path, *, pki: Path | None = None, more: Sequence[str] = ()) -> Daemon:
        """Start the agent of one node in a process of its own, with more arguments; do not wait."""
        return self.spawn(
            f"agent-{node}",
            self.agent_program,
            *("run", "--node", node, "--topology", self.topology, "--pki", pki or self.pki, "--state", state),
            *("--controller", self.addresses["southbound"], "--history-s", "60", *more),
        )

    def _told(self, daemon: Daemon, path: Path) -> dict[str, Any]:
        def written() -> bool:
            assert daemon.process.poll() is None, f"{daemon.name} ended:\n{daemon.said()}"
            return path.exists()

        wait_until(written, f"{daemon.name} to listen", 60.0)
        told: dict[str, Any] = json.loads(path.read_text())
        return told

    def close(self) -> None:
        """Stop every process, the last started first, and see that none is left behind."""
        self.hang_up()
        started, self.running = self.running, []
        problems = []
        for daemon in reversed(started):
            try:
                daemon.stop()
            except AssertionError as problem:
                problems.append(str(problem))
        problems += [f"{daemon.name} left a process behind" for daemon in started if not daemon.leaves_nobody()]
        assert not problems, "\n".join(problems)

    async def audit(self) -> list[str]:
        """Join the ledgers of all nodes of the fleet, which must have stopped; return every fault."""
        ledgers = {}
        for node in self.network.nodes:
            storage = await Storage.open(self.directory / "fleet" / node.name, node.name)
            try:
                ledgers[node.name] = [_entry(line) for line in await storage.ledger()]
            finally:
                await storage.close()
        assert any(entry.kind is LedgerKind.KEY for ledger in ledgers.values() for entry in ledger)
        return audit(ledgers)


def _entry(line: dict[str, Any]) -> LedgerEntry:
    purpose = line.pop("purpose", None)
    return LedgerEntry(kind=LedgerKind(line.pop("kind")), purpose=None if purpose is None else Purpose(purpose), **line)


@contextmanager
def world(directory: Path, topology: str | Path) -> Iterator[World]:
    """Make a world of a topology file, or of the text of one; leave nothing running."""
    if isinstance(topology, str):
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / "topology.yaml"
        path.write_text(topology)
        topology = path
    made = World(directory=directory, topology=topology)
    try:
        yield made
    finally:
        made.close()


@contextmanager
def network(directory: Path, topology: str | Path, *, apart: str = "", history_s: float = 60.0) -> Iterator[World]:
    """Run a controller and a fleet, and the agent of one node apart; every agent is connected when it is yielded."""
    with world(directory, topology) as made:
        made.start_controller()
        made.start_fleet(*([apart] if apart else []), history_s=history_s)
        if apart:
            made.spawn_agent(apart, made.directory / "fleet" / apart)
        made.all_connected()
        yield made
