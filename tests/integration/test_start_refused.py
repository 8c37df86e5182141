"""A controller that cannot start says why and what to do, and leaves nothing behind."""

import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from controller.identity.lab_ca import init_ca, issue
from controller.identity.peers import parse_identity
from tests.support.daemons import network
from tests.support.topology_text import topology_yaml

LINKS = [("one", "a", "b"), ("two", "b", "c")]


def controller(*arguments: object) -> "subprocess.CompletedProcess[str]":
    """Run the program to its end."""
    command = [sys.executable, "-m", "controller", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a folder with a CA and the controller's certificate."""
    init_ca(tmp_path / "pki", now=datetime.now(UTC))
    issue(tmp_path / "pki", parse_identity("controller/controller"), now=datetime.now(UTC))
    return tmp_path


def test_every_mistake_of_all_that_is_named_is_told_at_once(tmp_path: Path) -> None:
    config = tmp_path / "controller.yaml"
    config.write_text(
        "schema: qinet-controller\nversion: 1\ntopology: missing.yaml\napps: [apps.none.Such]\ncolour: red\n"
        "northbound: {listen: '127.0.0.1:7400'}\nmetrics: {listen: 'localhost:7400'}\n"
    )
    done = controller("check-config", "--config", config)
    assert done.returncode == 2
    for told in (":3: topology: ", ":4: apps: ", ":5: colour: ", ":7: metrics.listen: ", "ca.crt", "missing.yaml"):
        assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_sound_configuration_has_no_mistakes(folder: Path) -> None:
    config = folder / "controller.yaml"
    config.write_text("schema: qinet-controller\nversion: 1\n")
    done = controller("check-config", "--config", config)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("service", ["northbound", "southbound", "metrics"])
def test_a_port_that_is_taken_is_found_before_anything_is_made(folder: Path, service: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        listens = {"northbound": "127.0.0.1:0", "southbound": "127.0.0.1:0", "metrics": "127.0.0.1:0", service: address}
        config = folder / "controller.yaml"
        config.write_text(
            "schema: qinet-controller\nversion: 1\n"
            + "".join(f"{name}: {{listen: '{listen}'}}\n" for name, listen in listens.items())
        )
        before = sorted(folder.iterdir())
        done = controller("run", "--config", config)
    assert done.returncode == 75  # a service manager may try again
    assert address in done.stderr
    assert "Traceback" not in done.stderr
    assert "add_port" not in done.stderr
    assert sorted(folder.iterdir()) == before


def test_a_topology_without_a_link_in_use_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with network(tmp_path, topology_yaml("town", LINKS)) as running:
        running.create("first", "a", "c", 1.0)
        running.running[0].stop()
        running.topology.write_text(topology_yaml("town", LINKS[:1]))
        done = controller("run", "--config", running.controller_config())
    assert done.returncode == 2
    for told in (str(running.topology), "keyRelays/first", "links/two", "`topology:`", "qinetctl topology apply"):
        assert told in done.stderr
