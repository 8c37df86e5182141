"""qinetctl without a controller, in an empty directory."""

from pathlib import Path

import pytest

from tests.support.command_line import Run, runner


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run qinetctl with none of its environment variables set."""
    for name in ("CONTROLLER", "CONTROLLER_NAME", "PKI", "USER", "TIMEOUT", "DEBUG"):
        monkeypatch.delenv(f"QINET_{name}", raising=False)
    monkeypatch.chdir(tmp_path)
    return runner(capsys)
