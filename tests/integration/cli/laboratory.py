"""A controller and its agents as processes of their own, as operators run them."""

import json
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[3]
LINE = REPOSITORY / "topologies" / "line-3.yaml"
MESH = REPOSITORY / "topologies" / "mesh-2-disjoint.yaml"
_READY_S = 60.0


@dataclass(slots=True, kw_only=True)
class Laboratory:
    """One network in one directory, which has `pki` in it."""

    directory: Path
    topology: Path = LINE
    northbound: str = "127.0.0.1:0"
    southbound: str = "127.0.0.1:0"
    running: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def start_controller(self) -> "subprocess.Popen[bytes]":
        """Start a controller; where an earlier one listened, if there was one. Returns when it listens."""
        told = self.directory / "addresses.json"
        told.unlink(missing_ok=True)
        config = self.directory / "controller.yaml"
        config.write_text(
            "schema: qinet-controller\nversion: 1\nname: controller\npki: pki\n"
            f"topology: {json.dumps(str(self.topology))}\n"
            "store: {kind: sqlite, path: controller.db}\n"
            f"northbound: {{listen: {json.dumps(self.northbound)}}}\n"
            f"southbound: {{listen: {json.dumps(self.southbound)}, "
            "heartbeat_interval_ms: 1000, report_interval_ms: 1000}\n"
            'metrics: {listen: "127.0.0.1:0", plaintext_on_loopback: true}\naddresses: addresses.json\n',
            "utf-8",
        )
        process = self._start("controller", "controller", "run", "--config", config)
        addresses = self._ready(process, told)
        self.northbound, self.southbound = addresses["northbound"], addresses["southbound"]
        return process

    def start_agents(self) -> None:
        """Start an agent for each node, in one process. Returns when all listen."""
        process = self._start(
            "fleet",
            "southbound.commands.main",
            *("fleet", "--topology", self.topology, "--pki", self.directory / "pki"),
            *("--controller", self.southbound, "--state", self.directory / "fleet", "--lab-listen", "127.0.0.1:0"),
        )
        self._ready(process, self.directory / "fleet" / "fleet.json")

    def stop(self) -> None:
        """End every process that was started here."""
        for process in reversed(self.running):
            process.terminate()
        for process in self.running:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _start(self, name: str, module: str, *arguments: object) -> "subprocess.Popen[bytes]":
        with (self.directory / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", module, *map(str, arguments)],
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.running.append(process)
        return process

    def _ready(self, process: "subprocess.Popen[bytes]", told: Path) -> dict[str, Any]:
        deadline = time.monotonic() + _READY_S
        while time.monotonic() < deadline:
            assert process.poll() is None, f"it ended: {[log.read_text() for log in self.directory.glob('*.log')]}"
            if told.exists():
                found: dict[str, Any] = json.loads(told.read_text("utf-8"))
                return found
            time.sleep(0.05)  # between looks at the file that it writes when it is ready
        raise AssertionError(f"{told} was not written in {_READY_S} s")
