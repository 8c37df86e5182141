"""A controller in its operator's hands: reload without loss, renewed certificates, a stop in order, what it logs."""

import json
import os
import shutil
import signal
import socket
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest
from typer.testing import CliRunner

from controller.__main__ import app as controller_app
from controller.identity.lab_ca import init_ca, issue
from controller.identity.peers import Identity, Kind
from controller.identity.tls_files import files_in, load_tls
from qinet.northbound.v1 import key_relay_service_pb2
from tests.support.daemons import Daemon, World, world
from tests.support.operator_calls import CONTROLLER, OPERATOR, refusal, wait_until
from tests.support.topology_text import topology_yaml


class Managed:
    """The service manager's end of what the controller tells."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(20.0)

    def hear(self, wanted: str) -> str:
        """Return the next message of that kind, watchdog news and others left out."""
        while not (told := self._socket.recv(4096).decode()).startswith(wanted):
            pass
        return told

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def lone(tmp_path: Path) -> Iterator[World]:
    """A network without agents."""
    with world(tmp_path, topology_yaml("pair", [("one", "a", "b")])) as made:
        yield made


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Managed]:
    """A service manager, which the controller finds by its environment."""
    with closing(Managed(tmp_path / "notify")) as made:
        monkeypatch.setenv("NOTIFY_SOCKET", str(made.path))
        monkeypatch.setenv("WATCHDOG_USEC", "1500000")
        yield made


def reload(controller: Daemon, manager: Managed) -> str:
    """Ask for a reload as the service manager does; return the status when it is over."""
    controller.process.send_signal(signal.SIGHUP)
    manager.hear("RELOADING=1\nMONOTONIC_USEC=")
    return manager.hear("READY=1")


def alarms(of: World) -> dict[str, str]:
    return {alarm.kind: alarm.message for alarm in of.alarms()}


@pytest.mark.timeout(60)
def test_a_reload_puts_in_force_what_can_be_names_what_cannot_and_refuses_mistakes_whole(
    lone: World, manager: Managed
) -> None:
    controller = lone.start_controller()
    manager.hear("READY=1")
    manager.hear("WATCHDOG=1")
    file = lone.directory / "controller.yaml"
    before = file.read_text()
    last = before.count("\n")
    hash_before = lone.cluster().config_hash

    # A file with mistakes changes nothing, though part of it is sound.
    file.write_text(before + "logging: {level: DEBUG, format: json}\ncolour: red\napps: [no_dots]\n")
    assert "refused" in reload(controller, manager)
    wait_until(lambda: "CONFIG_INVALID" in alarms(lone), "the alarm CONFIG_INVALID")
    for told in (f"{file}:{last + 2}: colour: unknown", f"{file}:{last + 3}: apps: "):
        assert told in controller.said()
        assert told in alarms(lone)["CONFIG_INVALID"]
    assert lone.cluster().config_hash == hash_before

    # A sound one counts as far as it can.
    file.write_text(before.replace("controller.db", "other.db") + "logging: {format: json}\n")
    so_far = len(controller.said().splitlines())
    assert "refused" not in reload(controller, manager)
    wait_until(lambda: set(alarms(lone)) == {"RESTART_NEEDED"}, "RESTART_NEEDED in place of CONFIG_INVALID")
    assert alarms(lone)["RESTART_NEEDED"] == "needs a restart: store.path"
    assert lone.cluster().config_hash not in {"", hash_before}
    news = [json.loads(line) for line in controller.said().splitlines()[so_far:]]
    assert news[0]["message"].startswith("configuration reloaded")
    assert news[0]["fields"]["applied"] == "logging.format"

    # After the start, which takes the rest, what the alarms told is over, whatever became of the file.
    file.write_text("colour: red\n")
    reload(controller, manager)
    wait_until(lambda: set(alarms(lone)) == {"RESTART_NEEDED", "CONFIG_INVALID"}, "both alarms")
    assert controller.stop() == 0
    manager.hear("STOPPING=1")
    assert "Traceback" not in controller.said()
    lone.hang_up()
    lone.start_controller()
    wait_until(lambda: not alarms(lone), "no alarm")


@pytest.mark.timeout(60)
def test_another_ca_takes_over_without_a_restart_and_a_broken_certificate_does_not(
    lone: World, manager: Managed
) -> None:
    controller = lone.start_controller()
    manager.hear("READY=1")
    standing = lone.on(lone.channel())
    standing.cluster()
    old, spare = lone.pki, lone.directory / "spare"
    shutil.copytree(old, spare)

    key = files_in(old, CONTROLLER).key
    key.write_text("no key\n")
    assert "refused" in reload(controller, manager)
    wait_until(lambda: "controller.key" in alarms(lone).get("CONFIG_INVALID", ""), "the alarm that names the file")

    shutil.rmtree(old)
    now = datetime.now(UTC)
    init_ca(old, now=now)
    for identity in (CONTROLLER, OPERATOR):
        issue(old, identity, now=now)
    assert "refused" not in reload(controller, manager)
    standing.cluster()  # a connection that stands is not cut
    lone.hang_up()
    assert lone.cluster().controller == CONTROLLER.name  # asked anew, with a certificate of the new CA
    assert "-----" not in controller.said()
    lone.hang_up()
    shutil.rmtree(old)
    shutil.copytree(spare, old)
    with (
        grpc.secure_channel(
            lone.addresses["northbound"],
            grpc.ssl_channel_credentials(*_pem(old)),
            [("grpc.ssl_target_name_override", "controller.controller.qinet")],
        ) as channel,
        pytest.raises(grpc.FutureTimeoutError),
    ):
        grpc.channel_ready_future(channel).result(1.0)


def _pem(pki: Path) -> tuple[bytes, bytes, bytes]:
    tls = load_tls(files_in(pki, OPERATOR))
    return tls.ca_pem, tls.key_pem, tls.certificate_pem


@pytest.mark.timeout(60)
def test_a_stop_tells_watchers_at_once_and_a_second_signal_ends_one_that_hangs(lone: World, manager: Managed) -> None:
    controller = lone.start_controller()
    manager.hear("READY=1")
    health = ["check-health", "--config", str(lone.directory / "controller.yaml")]
    assert CliRunner().invoke(controller_app, health).output == "serving\n"
    watch = lone.relays.WatchKeyRelays(key_relay_service_pb2.WatchKeyRelaysRequest())
    next(iter(watch))
    # A reload that waits for a file which never comes is what the stop will wait for, after everything else.
    certificates = lone.pki / "ca.crt"
    certificates.rename(lone.directory / "ca.crt")
    os.mkfifo(certificates)
    controller.process.send_signal(signal.SIGHUP)
    manager.hear("RELOADING=1")

    controller.process.send_signal(signal.SIGTERM)
    told = refusal(lambda: list(watch))
    assert (told.code, told.reason) == (grpc.StatusCode.UNAVAILABLE, "STOPPING")
    wait_until(lambda: "controller stopped" in controller.said(), "the end of all but the file")
    assert controller.process.poll() is None
    controller.process.send_signal(signal.SIGTERM)
    assert controller.wait(10.0) == -signal.SIGTERM
    certificates.unlink()
    shutil.copy(lone.directory / "ca.crt", certificates)
    assert CliRunner().invoke(controller_app, [*health, "--timeout-s", "1"]).exit_code == 1
    assert "Traceback" not in controller.said()


@pytest.mark.timeout(60)
def test_an_agent_renews_its_certificate_keeps_the_old_one_where_the_new_is_broken_and_logs_json(
    lone: World, manager: Managed
) -> None:
    lone.addresses = {"southbound": "127.0.0.1:9"}  # nobody is there: an agent does not need a controller to live
    agent = lone.spawn_agent("a", lone.directory / "state", more=("--log-format", "json"))
    manager.hear("READY=1\nSTATUS=peer=127.0.0.1:")
    manager.hear("WATCHDOG=1")
    here = Identity(Kind.NODE, "a")

    files_in(lone.pki, here).certificate.write_text("none")
    reload(agent, manager)
    issue(lone.pki, here, now=datetime.now(UTC), renew=True)
    reload(agent, manager)

    assert agent.stop() == 0
    manager.hear("STOPPING=1")
    lines = [json.loads(line) for line in agent.said().splitlines()]
    told = [
        (line["level"], line["message"].partition(" file=")[0]) for line in lines if "certificate" in line["message"]
    ]
    assert told[0][0] == "ERROR"
    assert "the old one stays in force" in told[0][1]
    assert told[1] == ("INFO", "certificate in force")
    assert {"time", "level", "logger", "message"} <= set.intersection(*map(set, lines))
