"""qinetctl against a real controller with real agents, one network for each file of tests."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from controller.identity.lab_ca import init_ca, issue
from controller.identity.peers import parse_identity
from tests.integration.cli.laboratory import Laboratory
from tests.support.command_line import Run, runner

PARTIES = ("user/operator", "controller/controller", "node/alice", "node/middle", "node/bob")


def certified(directory: Path) -> Path:
    """Make certificates for everybody in `directory/pki`, and return the directory."""
    now = datetime.now(UTC)
    init_ca(directory / "pki", now=now)
    for party in PARTIES:
        issue(directory / "pki", parse_identity(party), now=now)
    return directory


@pytest.fixture(scope="session")
def laboratory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    """A line of three nodes, all agents connected."""
    lab = Laboratory(directory=certified(tmp_path_factory.mktemp("laboratory")))
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


@pytest.fixture
def run(laboratory: Laboratory, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run qinetctl as the operator of the laboratory."""
    for name in ("CONTROLLER_NAME", "USER", "TIMEOUT", "DEBUG"):
        monkeypatch.delenv(f"QINET_{name}", raising=False)
    monkeypatch.setenv("QINET_CONTROLLER", laboratory.northbound)
    monkeypatch.setenv("QINET_PKI", str(laboratory.directory / "pki"))
    return runner(capsys, "--timeout", "30")
