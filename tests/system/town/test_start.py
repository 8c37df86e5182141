"""Programs that must not start: taken stores, ports and identities, and stores from later versions."""

import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from controller.store.sqlite import SqliteStore
from tests.support.daemons import Daemon, World
from tests.support.operator_calls import wait_until


def start_controller(town: World, name: str, **changes: str) -> Daemon:
    """Start a second controller from a configuration that differs from the running one's."""
    free = {
        "northbound": '{listen: "127.0.0.1:0"}',
        "southbound": '{listen: "127.0.0.1:0"}',
        "addresses": f"{name}.json",
    }
    config = town.controller_config(f"{name}.yaml", **(free | changes))
    return town.spawn(name, "controller", "run", "--config", config)


def refuses(daemon: Daemon, code: int, *says: str) -> None:
    """See that a program ended by itself with a clear message and no traceback."""
    assert daemon.wait() == code, daemon.said()
    said = daemon.said()
    for each in says:
        assert each in said
    assert "Traceback" not in said


def test_a_second_controller_starts_neither_on_the_store_nor_on_the_ports_of_the_first(town: World) -> None:
    term = town.cluster().election_id.term
    taken = start_controller(town, "taken")
    ports = {}
    for port in ("northbound", "southbound"):
        changes = {port: f'{{listen: "{town.addresses[port]}"}}'}
        ports[port] = start_controller(town, f"taken-{port}", store="{kind: memory, path: none}", **changes)
    refuses(taken, 2, str(town.store), "another")
    for port, daemon in ports.items():
        refuses(daemon, 75, town.addresses[port])
    assert town.cluster().election_id.term == term
    assert all(agent.connected for agent in town.agents().values())


def test_a_store_from_a_later_version_is_left_alone(town: World, tmp_path: Path) -> None:
    store = tmp_path / "newer.db"
    SqliteStore(store).close()
    with sqlite3.connect(store) as db:
        db.execute("PRAGMA user_version = 999")
    db.close()
    before = store.read_bytes()
    daemon = start_controller(town, "newer", store=f"{{kind: sqlite, path: {json.dumps(str(store))}}}")
    refuses(daemon, 2, str(store), "version 999")
    assert store.read_bytes() == before


def test_an_agents_store_from_a_later_version_is_left_alone(town: World, tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    with sqlite3.connect(state / "agent.sqlite") as db:
        db.execute("PRAGMA user_version = 999")
    db.close()
    refuses(town.spawn_agent("isle", state), 5, str(state), "999")


def test_an_agent_with_the_certificate_of_another_node_does_not_start(town: World, tmp_path: Path) -> None:
    pki = tmp_path / "pki"
    shutil.copytree(town.pki, pki)
    for suffix in ("crt", "key"):
        shutil.copy(pki / "node" / f"middle.{suffix}", pki / "node" / f"cave.{suffix}")
    refuses(town.spawn_agent("cave", tmp_path / "state", pki=pki), 5, "node/middle", "node/cave")
    assert town.agents()["cave"].connected


@pytest.mark.timeout(60)
def test_a_second_agent_with_the_identity_of_a_living_one_is_kept_out_with_an_alarm(
    town: World, tmp_path: Path
) -> None:
    living = town.agents()["cave"]
    double = town.spawn_agent("cave", tmp_path / "state")

    def told() -> bool:
        return any(alarm.kind == "DUPLICATE_AGENT" and alarm.node in {"", "nodes/cave"} for alarm in town.alarms())

    wait_until(told, "the alarm DUPLICATE_AGENT")
    assert double.stop() == 0
    now = town.agents()["cave"]
    assert now.connected
    assert (now.store_id, now.delivery_address) == (living.store_id, living.delivery_address)
    assert "configuration in force" not in double.said()
