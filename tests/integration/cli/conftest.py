"""qinetctl against a real controller with real agents, one network for each file of tests."""

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from controller.cli.exits import Exit
from controller.identity.lab_ca import init_ca, issue
from controller.identity.peers import parse_identity
from tests.integration.cli.laboratory import MESH, Laboratory
from tests.support.command_line import Run, runner

PARTIES = ("user/operator", "controller/controller", "node/alice", "node/middle", "node/bob")
IN_MESH = ("airport", "castle", "harbour", "museum", "station", "university")
Read = Callable[..., Any]


def certified(directory: Path, parties: Sequence[str] = PARTIES) -> Path:
    """Make certificates for everybody in `directory/pki`, and return the directory."""
    now = datetime.now(UTC)
    init_ca(directory / "pki", now=now)
    for party in parties:
        issue(directory / "pki", parse_identity(party), now=now)
    return directory


@pytest.fixture(scope="package")
def laboratory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    """A line of three nodes, all agents connected."""
    lab = Laboratory(directory=certified(tmp_path_factory.mktemp("laboratory")))
    try:
        lab.start_controller()
        lab.start_agents()
        yield lab
    finally:
        lab.stop()


@pytest.fixture(scope="package")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    """A network with two ways between most nodes, all agents connected."""
    parties = ("user/operator", "controller/controller", *(f"node/{name}" for name in IN_MESH))
    lab = Laboratory(directory=certified(tmp_path_factory.mktemp("mesh"), parties), topology=MESH)
    try:
        lab.start_controller()
        lab.start_agents()
        yield lab
    finally:
        lab.stop()


@pytest.fixture
def lonely(tmp_path: Path) -> Iterator[Laboratory]:
    """A network with certificates, in which nothing runs yet."""
    lab = Laboratory(directory=certified(tmp_path))
    try:
        yield lab
    finally:
        lab.stop()


def operator_of(lab: Laboratory, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return what runs qinetctl as the operator of a laboratory."""
    for name in ("CONTROLLER_NAME", "USER", "TIMEOUT", "DEBUG"):
        monkeypatch.delenv(f"QINET_{name}", raising=False)
    monkeypatch.setenv("QINET_CONTROLLER", lab.northbound)
    monkeypatch.setenv("QINET_PKI", str(lab.directory / "pki"))
    return runner(capsys, "--timeout", "30")


@pytest.fixture
def run(laboratory: Laboratory, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run qinetctl as the operator of the laboratory."""
    return operator_of(laboratory, capsys, monkeypatch)


@pytest.fixture
def run_mesh(mesh: Laboratory, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run qinetctl as the operator of the mesh."""
    return operator_of(mesh, capsys, monkeypatch)


@pytest.fixture
def read_mesh(run_mesh: Run) -> Read:
    """Run a command that must be done in the mesh, and return what its JSON says."""

    def read(*arguments: object) -> Any:
        ran = run_mesh(*arguments, "-o", "json")
        assert ran.code == Exit.DONE, ran.err
        return json.loads(ran.out)

    return read
