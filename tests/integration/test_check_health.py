"""`qinet-controller check-health` where the controller does not tell where it listens."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from controller.__main__ import app
from controller.identity.lab_ca import init_ca, issue
from tests.support.operator_calls import CONTROLLER


@pytest.mark.parametrize(
    "told", [None, "", "{", "[]", "7", "{}", '{"northbound": 7}', '{"northbound": "nowhere"}', '{"northbound": null}']
)
def test_an_addresses_file_that_is_absent_or_holds_anything_else_is_an_answer_and_no_fault(
    tmp_path: Path, told: str | None
) -> None:
    init_ca(tmp_path / "pki", now=datetime.now(UTC))
    issue(tmp_path / "pki", CONTROLLER, now=datetime.now(UTC))
    config = tmp_path / "controller.yaml"
    config.write_text(
        "schema: qinet-controller\nversion: 1\nnorthbound: {listen: '127.0.0.1:0'}\naddresses: controller.json\n"
    )
    if told is not None:
        (tmp_path / "controller.json").write_text(told)
    done = CliRunner().invoke(app, ["check-health", "--config", str(config)])
    assert done.exit_code == 1
    assert "controller.json: does not tell where the controller listens" in done.stderr
