"""A configuration file that is read again while the controller runs: nothing in it, or named by it, ends what runs."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from controller.config.controller_file import load_controller_config
from controller.config.reloading import Reload
from controller.domain.events import AgentEvent, AlarmRaised
from controller.identity.lab_ca import init_ca, issue
from controller.identity.tls_files import Tls, files_in
from controller.reloading import CONFIG_INVALID, Reloader
from tests.support.operator_calls import CONTROLLER

FILE = """schema: qinet-controller
version: 1
name: controller
pki: pki
store: {kind: memory}
northbound: {listen: "127.0.0.1:0"}
southbound: {listen: "127.0.0.1:0"}
"""


class Running:
    """What a controller has of a reloader."""

    def __init__(self, directory: Path) -> None:
        now = datetime.now(UTC)
        self.pki = directory / "pki"
        init_ca(self.pki, now=now)
        issue(self.pki, CONTROLLER, now=now)
        self.file = directory / "controller.yaml"
        self.file.write_text(FILE)
        self.applied: list[tuple[Reload, Tls]] = []
        self.counted: list[str] = []
        self.alarms: dict[str, str] = {}
        self.fault: Exception | None = None
        self.reloader = Reloader(
            self.file,
            load_controller_config(self.file),
            apply=self._apply,
            deliver=self._deliver,
            count=self.counted.append,
        )

    def _apply(self, reload: Reload, tls: Tls) -> None:
        if self.fault is not None:
            raise self.fault
        self.applied.append((reload, tls))

    def _deliver(self, event: AgentEvent) -> bool:
        if isinstance(event, AlarmRaised):
            self.alarms[event.alarm.kind] = event.alarm.message
        else:
            self.alarms.clear()
        return True


@pytest.fixture
def running(tmp_path: Path) -> Running:
    return Running(tmp_path)


@pytest.mark.parametrize(
    "body", ["import sys; sys.exit(3)", "raise SystemExit", "import nothing_of_that_name", "1 / 0", "def"]
)
async def test_an_app_that_ends_the_process_or_raises_at_import_is_a_mistake_in_the_file(
    running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    (tmp_path / "ill_app.py").write_text(body + "\n")
    monkeypatch.syspath_prepend(tmp_path)
    running.file.write_text(FILE + "apps: [ill_app.App]\n")
    assert not await running.reloader.reload()
    assert ": apps: app ill_app.App cannot be loaded" in running.alarms[CONFIG_INVALID]
    assert (running.counted, running.applied) == (["refused"], [])


async def test_a_reload_that_fails_half_way_is_told_and_the_next_does_all_of_it_again(running: Running) -> None:
    running.file.write_text(FILE + "logging: {level: WARNING}\n")
    running.fault = RuntimeError("a fault of ours")
    assert not await running.reloader.reload()
    assert "RuntimeError" in running.alarms[CONFIG_INVALID]
    running.fault = None
    assert await running.reloader.reload()
    ((reload, _),) = running.applied
    assert reload.applied == ("logging.level",)
    assert running.counted == ["refused", "applied"]


async def test_certificates_that_are_swapped_under_a_reload_are_taken_whole_or_not_at_all(
    running: Running, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    init_ca(other, now=datetime.now(UTC))
    issue(other, CONTROLLER, now=datetime.now(UTC))
    mine, its = files_in(running.pki, CONTROLLER), files_in(other, CONTROLLER)
    swaps = [(mine.certificate, its.certificate), (mine.key, its.key), (mine.ca, its.ca)]
    for done, (here, there) in enumerate(swaps, 1):
        assert running.applied == []
        here.write_bytes(there.read_bytes())
        assert await running.reloader.reload() is (done == len(swaps))
    ((_, tls),) = running.applied
    assert (tls.certificate_pem, tls.key_pem) == (its.certificate.read_bytes(), its.key.read_bytes())
    assert "-----" not in "".join(running.alarms.values())


async def test_reloads_side_by_side_leave_the_last_file_in_force(running: Running) -> None:
    running.file.write_text(FILE + "logging: {level: ERROR}\n")
    assert await asyncio.gather(*(running.reloader.reload() for _ in range(8))) == [True] * 8
    assert {reload.config.logging.level for reload, _ in running.applied} == {"ERROR"}
    assert replace(running.applied[-1][0].config, sha256="") == replace(running.applied[0][0].config, sha256="")
