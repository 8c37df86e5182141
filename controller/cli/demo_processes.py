"""The daemons of the demonstration, as processes of their own, as an operator would start them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from controller.config.topology_file import TopologyFile
from controller.domain.refusals import Precondition
from controller.identity.lab_ca import init_ca, issue
from controller.identity.peers import Identity, Kind

START_WITHIN_S: Final = 60.0
_PER_NODE_S: Final = 0.5
"""What one agent more may add to any wait: all share one process, and on two cores it has half of one."""

_BEAT_MS: Final = 1000
_BEAT_PER_NODE_MS: Final = 40
"""Agents of one process share its heartbeats too: at so many per second it has time for something else."""

_PAIR_HEARTBEAT_MS: Final = 3000
"""Least heartbeat where pairs are emulated: who is busy with them on a busy machine is not gone."""

HISTORY_MAX_BIT: Final = 1 << 23
"""What a simulated module keeps of its history at most; the agent's own bound, which this side may not import."""

_HISTORIES_S: Final = (3600.0, 1200.0, 600.0, 300.0, 120.0, 60.0, 30.0)
_HISTORY_BIT: Final = 250_000_000
"""Key of the time before the start, all ends together: agents compare all of it, at about 30 Mbit/s of one core."""

STOP_WITHIN_S: Final = 10.0
_LOOK_EVERY_S: Final = 0.05
OPERATOR: Final = Identity(Kind.USER, "operator")
MASTER: Final = "alice"
SLAVE: Final = "bob"


@dataclass
class Daemon:
    """One process and where it logs."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def stop(self) -> None:
        """Ask it to end, and end it if it doesn't."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


@dataclass
class Daemons:
    """A controller and a fleet of agents for one topology, in one folder.

    Attributes:
        directory: Holds certificates, configuration, stores and logs of this run.
        addresses: The controller's: northbound, southbound, metrics.
        fleet: What the fleet wrote of itself: the lab's address, and each node's.
    """

    directory: Path
    topology_path: Path
    topology: TopologyFile
    addresses: dict[str, str] = field(default_factory=dict)
    fleet: dict[str, Any] = field(default_factory=dict)
    running: list[Daemon] = field(default_factory=list)

    @property
    def pki(self) -> Path:
        """Return the folder of the certificates."""
        return self.directory / "pki"

    @property
    def within_s(self) -> float:
        """Return how long anything may take that involves all agents."""
        return START_WITHIN_S + _PER_NODE_S * len(self.topology.nodes)

    def take_directory(self) -> None:
        """Make the folder, or take an empty one.

        Raises:
            Precondition: NOT_EMPTY, NOT_A_DIRECTORY: nothing that is there is touched.
        """
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            taken = any(self.directory.iterdir())
        except OSError as problem:
            raise Precondition(
                "NOT_A_DIRECTORY",
                f"{self.directory}: {problem.strerror}; give a folder that can be made",
                {"directory": self.directory},
            ) from None
        if taken:
            raise Precondition(
                "NOT_EMPTY",
                f"{self.directory} is not empty, and the demonstration makes a lab CA and stores of its own; "
                "give a new folder, or empty that one",
                {"directory": self.directory},
            )

    def issue_certificates(self) -> None:
        """Make a lab CA, and a certificate for everybody who takes part."""
        now = datetime.now(UTC)
        init_ca(self.pki, now=now)
        identities = [OPERATOR, Identity(Kind.CONTROLLER, "controller")]
        identities += [Identity(Kind.NODE, node.name) for node in self.topology.nodes]
        identities += [Identity(Kind.SAE, sae) for sae in (MASTER, SLAVE)]
        for identity in identities:
            issue(self.pki, identity, now=now)

    def start_controller(self) -> None:
        """Start the controller and wait until it listens."""
        config = self.directory / "controller.yaml"
        beat_ms = max(_BEAT_MS, _BEAT_PER_NODE_MS * len(self.topology.nodes))
        pairs = any(link.pairs is not None for link in self.topology.links)
        heartbeat_ms = max(beat_ms, _PAIR_HEARTBEAT_MS) if pairs else beat_ms
        config.write_text(
            "schema: qinet-controller\n"
            "version: 1\n"
            "name: controller\n"
            "pki: pki\n"
            f"topology: {json.dumps(str(self.topology_path.resolve()))}\n"
            "store: {kind: sqlite, path: controller/controller.db}\n"
            'northbound: {listen: "127.0.0.1:0"}\n'
            f'southbound: {{listen: "127.0.0.1:0", heartbeat_interval_ms: {heartbeat_ms},'
            f" report_interval_ms: {beat_ms}}}\n"
            'metrics: {listen: "127.0.0.1:0", plaintext_on_loopback: true, relays: [demo], paths: [demo]}\n'
            "addresses: controller.json\n"
        )
        daemon = self._start("controller", "controller", ["run", "--config", str(config)])
        self.addresses = self._ready(daemon, self.directory / "controller.json")

    def start_fleet(self) -> None:
        """Start an agent for every node, in one process, and wait until all listen."""
        daemon = self._start(
            "fleet",
            "southbound.commands.main",
            [
                *("fleet", "--topology", str(self.topology_path), "--pki", str(self.pki)),
                *("--controller", self.addresses["southbound"], "--state", str(self.directory / "fleet")),
                *("--lab-listen", "127.0.0.1:0", "--history-s", f"{history_s(self.topology):g}"),
            ],
        )
        self.fleet = self._ready(daemon, self.directory / "fleet" / "fleet.json")

    def _start(self, name: str, module: str, arguments: list[str]) -> Daemon:
        log = self.directory / f"{name}.log"
        with log.open("wb") as sink:
            process = subprocess.Popen(  # noqa: S603 (our own module, our own arguments)
                [sys.executable, "-m", "controller.cli.demo_guard", sys.executable, "-m", module, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                # Ctrl-C is for the demonstration; it stops its daemons in order.
                start_new_session=True,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        daemon = Daemon(name=name, process=process, log=log)
        self.running.append(daemon)
        return daemon

    def _ready(self, daemon: Daemon, path: Path) -> dict[str, Any]:
        def written() -> bool:
            self.check()
            return path.exists()

        wait_for(written, self.within_s, f"{daemon.name} to listen; its log is {daemon.log}")
        ready: dict[str, Any] = json.loads(path.read_text())
        return ready

    def check(self) -> None:
        """See that every daemon still runs.

        Raises:
            Precondition: DAEMON_ENDED: one does not; shows the end of its log.
        """
        for daemon in self.running:
            code = daemon.process.poll()
            if code is not None:
                end = "\n".join(daemon.log.read_text(errors="replace").splitlines()[-8:])
                raise Precondition(
                    "DAEMON_ENDED", f"{daemon.name} ended with code {code}:\n{end}", {"daemon": daemon.name}
                )

    def stop(self) -> None:
        """Stop all, the last started first."""
        while self.running:
            self.running.pop().stop()


def history_s(topology: TopologyFile) -> float:
    """Return for how long the modules have run already, in s: shorter where all links together make much key.

    At least 30 s, so that there is key to ride on.
    """
    made = [(each.block_secret_bit / each.block_s) for each in topology.simulations.values()]
    for history in _HISTORIES_S:
        if sum(2 * min(rate * history, HISTORY_MAX_BIT) for rate in made) <= _HISTORY_BIT:
            return history
    return _HISTORIES_S[-1]


def wait_for(condition: Callable[[], bool], within_s: float, what: str) -> None:
    """Look again and again until the condition holds.

    Raises:
        Precondition: TIMED_OUT.
    """
    end = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > end:
            raise Precondition("TIMED_OUT", f"waited {within_s:.0f} s in vain for {what}", {"what": what})
        time.sleep(_LOOK_EVERY_S)
