"""A controller process with os-ken apps in its configuration, sound ones and others."""

import json
import re
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemons import Daemon, World, world
from tests.support.operator_calls import wait_until
from tests.support.topology_text import topology_yaml

APPS = "tests.support.os_ken_apps."
GUARD = "southbound.openflow.fibre_guard"
STOPS_WITHIN_S = 10.0


@pytest.fixture
def lone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A network without agents; its controller's log also names every module that it imports."""
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    monkeypatch.setenv("QINET_TEST_RECORD", str(tmp_path / "record.json"))
    with world(tmp_path, topology_yaml("pair", [("one", "a", "b")])) as made:
        yield made


def start(lone: World, *apps: str) -> Daemon:
    """Start the controller with os-ken apps, and wait until it listens."""
    changes = {"os_ken": f'{{apps: [{", ".join(apps)}], listen: "127.0.0.1:0"}}'} if apps else {}
    told = lone.directory / "controller.json"
    told.unlink(missing_ok=True)
    daemon = lone.spawn("controller", "controller", "run", "--config", lone.controller_config(**changes))

    def listens() -> bool:
        assert daemon.process.poll() is None, daemon.said()
        return told.exists()

    wait_until(listens, "the controller to listen")
    lone.addresses = json.loads(told.read_text())
    return daemon


def imported(daemon: Daemon) -> set[str]:
    """Return the top of every module that it imported."""
    return set(re.findall(r"^import time: .*\| +(\w+)", daemon.said(), re.MULTILINE))


@pytest.mark.timeout(90)
def test_a_controller_serves_with_os_ken_apps_that_fail_and_stops_in_order(lone: World) -> None:
    daemon = start(lone, *(APPS + app for app in ("recorder", "hanging", "quitting")), GUARD)
    host, _, port = lone.addresses["openflow"].rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10) as switch:
        assert switch.recv(1) in (b"\x04", b"\x06")  # the version of its Hello
    for number in range(3):
        lone.create(f"r{number}", "a", "b", accept_blocked=True)
    wait_until(lambda: [alarm.kind for alarm in lone.alarms()] == ["OS_KEN_APP_FAILED"], "the alarm")
    assert lone.cluster().election_id.term == 1
    assert json.loads((lone.directory / "record.json").read_text()) == {"eventlet": False, "grpc": True}
    assert {"os_ken", "grpc"} <= imported(daemon)
    assert "eventlet" not in imported(daemon)

    began = time.monotonic()
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.wait(STOPS_WITHIN_S) == 0
    assert time.monotonic() - began < STOPS_WITHIN_S
    assert f"left behind apps={APPS}hanging" in daemon.said()

    # The next start has no os-ken, and no alarm about it; nothing of os-ken is even imported.
    without = start(lone)
    wait_until(lambda: not lone.alarms(), "the alarm's end")
    assert "openflow" not in lone.addresses
    assert without.stop() == 0
    assert "grpc" in imported(without)
    assert imported(without).isdisjoint({"os_ken", "oslo_config", "eventlet"})


def test_an_os_ken_app_that_cannot_be_loaded_stops_the_start_before_anything_is_made(lone: World) -> None:
    config = lone.controller_config(os_ken=f"{{apps: [{APPS}two]}}")
    for command in ("run", "check-config"):
        daemon = lone.spawn(command, "controller", command, "--config", config)
        assert daemon.wait() == 2
        assert "First, Second" in daemon.said()
        assert "Traceback" not in daemon.said()
    assert not lone.store.exists()
