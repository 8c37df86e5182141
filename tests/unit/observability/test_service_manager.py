"""What the service manager is told, over a real socket."""

import os
import pty
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.observability.service_manager import ServiceManager
from controller.observability.terminal import Terminal


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """The service manager's end."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(str(tmp_path / "notify"))
        bound.setblocking(False)
        yield bound


def heard(manager: socket.socket) -> list[str]:
    told = []
    while True:
        try:
            told.append(manager.recv(4096).decode())
        except BlockingIOError:
            return told


def test_start_reload_and_stop_are_told(manager: socket.socket) -> None:
    service = ServiceManager({"NOTIFY_SOCKET": manager.getsockname()}, now_s=lambda: 12.5)
    service.ready("north=1")
    service.reloading()
    service.stopping()
    assert heard(manager) == [
        "READY=1\nSTATUS=north=1",
        "RELOADING=1\nMONOTONIC_USEC=12500000",
        "STOPPING=1\nSTATUS=stopping",
    ]


def test_the_watchdog_is_fed_three_times_within_its_limit_however_often_we_say_that_we_live(
    manager: socket.socket,
) -> None:
    now_s = 0.0
    environment = {
        "NOTIFY_SOCKET": manager.getsockname(),
        "WATCHDOG_USEC": "30000000",
        "WATCHDOG_PID": str(os.getpid()),
    }
    service = ServiceManager(environment, now_s=lambda: now_s)
    for _ in range(300):
        service.alive()
        now_s += 0.1
    assert heard(manager) == ["WATCHDOG=1"] * 3


def test_a_watchdog_that_is_meant_for_another_process_is_not_fed(manager: socket.socket) -> None:
    environment = {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}
    ServiceManager(environment).alive()
    assert heard(manager) == []


def test_an_abstract_socket_is_reached() -> None:
    name = f"qinet-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind("\0" + name)
        bound.setblocking(False)
        ServiceManager({"NOTIFY_SOCKET": f"@{name}"}).ready()
        assert heard(bound) == ["READY=1"]


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": "relative"}, {"NOTIFY_SOCKET": "/nowhere/at/all"}])
def test_without_a_service_manager_nothing_happens(environment: dict[str, str]) -> None:
    service = ServiceManager(environment)
    service.ready()
    service.alive()
    service.stopping()


def test_a_terminal_is_gone_when_its_other_end_is_closed_and_only_if_there_was_one(tmp_path: Path) -> None:
    controlling, terminal = pty.openpty()
    at_terminal = Terminal(terminal)
    assert not at_terminal.gone()
    os.close(controlling)
    assert at_terminal.gone()
    os.close(terminal)
    with (tmp_path / "file").open("w") as file:
        assert not Terminal(file.fileno()).gone()
