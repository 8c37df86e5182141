"""A real Open vSwitch for one test: ovsdb-server and ovs-vswitchd without the kernel, in a folder of their own."""

import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

DATAPATH_ID: Final = "00000000000000a1"
_SCHEMA: Final = Path("/usr/share/openvswitch/vswitch.ovsschema")
_WITHIN_S: Final = 20.0


class Switch:
    """A bridge `br0` with ports 1, 2, ... that lead nowhere; what no flow takes is dropped."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._environment = {**os.environ, **dict.fromkeys(("OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR"), str(folder))}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def make(self, ports: int) -> None:
        """Start both programs, and make the bridge."""
        folder = self._folder
        self._run("ovsdb-tool", "create", f"{folder}/conf.db", str(_SCHEMA))
        self._start("ovsdb-server", f"{folder}/conf.db", f"--remote=punix:{folder}/db.sock")
        self.plug_in()
        adding = [
            f"-- add-port br0 p{n} -- set interface p{n} type=dummy ofport_request={n}" for n in range(1, ports + 1)
        ]
        self._vsctl(
            "add-br br0 -- set bridge br0 datapath_type=dummy fail-mode=secure protocols=OpenFlow13 "
            f"other-config:datapath-id={DATAPATH_ID} {' '.join(adding)}"
        )

    def plug_in(self) -> None:
        """Start the switch; it has no flows."""
        self._start("ovs-vswitchd", f"unix:{self._folder}/db.sock", "--enable-dummy")

    def pull_the_plug(self) -> None:
        """End it as a loss of power does."""
        switch = self._running.pop("ovs-vswitchd")
        switch.kill()
        switch.wait()

    def obey(self, address: tuple[str, int]) -> None:
        """Have it dial a controller, and dial again within a second."""
        host, port = address
        self._vsctl(f"set-controller br0 tcp:{host}:{port} -- set controller br0 max_backoff=1000")

    def add_flow(self, flow: str) -> None:
        """Put a flow in by hand."""
        self._ofctl("add-flow", flow)

    def joins(self, cookie: int) -> set[tuple[int, int]]:
        """Return (port in, port out) of each flow with that cookie."""
        told = self._ofctl("dump-flows", f"cookie={cookie}/-1", "--no-names")
        return {(int(i), int(o)) for i, o in re.findall(r"in_port=(\d+) actions=output:(\d+)", told)}

    def leads_to(self, port: int) -> str:
        """Return what the switch does with a packet that comes in at a port: `drop`, or a port of its datapath."""
        told = self._run(
            "ovs-appctl", "-t", f"{self._folder}/ovs-vswitchd.ctl", "ofproto/trace", "br0", f"in_port={port}"
        )
        return told.rpartition("Datapath actions: ")[2].strip()

    def stop(self) -> None:
        """End both programs."""
        for process in self._running.values():
            process.kill()
        for process in self._running.values():
            process.wait()

    def _start(self, program: str, *arguments: str) -> None:
        control = self._folder / f"{program}.ctl"
        control.unlink(missing_ok=True)
        with (self._folder / f"{program}.log").open("ab") as sink:
            self._running[program] = subprocess.Popen(
                [program, *arguments, f"--unixctl={control}"],
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                env=self._environment,
            )

        end = time.monotonic() + _WITHIN_S
        while not control.exists():  # by then it also listens at what it was told to
            assert time.monotonic() < end, f"{program} does not begin: {self._folder}/{program}.log"
            time.sleep(0.005)

    def _vsctl(self, command: str) -> None:
        # It waits for the switch to have done it.
        self._run("ovs-vsctl", f"--timeout={_WITHIN_S:g}", f"--db=unix:{self._folder}/db.sock", *command.split())

    def _ofctl(self, verb: str, *arguments: str) -> str:
        return self._run("ovs-ofctl", "-O", "OpenFlow13", verb, f"unix:{self._folder}/br0.mgmt", *arguments)

    def _run(self, *command: str) -> str:
        done = subprocess.run(
            command, check=False, env=self._environment, capture_output=True, text=True, timeout=_WITHIN_S
        )
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout


@contextmanager
def switch(folder: Path, ports: int) -> Iterator[Switch]:
    """Run a switch; leave nothing running."""
    made = Switch(folder)
    try:
        made.make(ports)
        yield made
    finally:
        made.stop()
