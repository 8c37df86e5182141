"""A whole metrics page passes Prometheus's own linter."""

import subprocess

import pytest
from prometheus_client.exposition import generate_latest

from tests.support.metrics_world import populated_registry


@pytest.mark.needs("promtool")
def test_promtool_finds_nothing_to_object_to() -> None:
    page = generate_latest(populated_registry())
    checked = subprocess.run(
        ["promtool", "check", "metrics"],
        input=page,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=60,
        check=False,
    )
    assert (checked.returncode, checked.stdout.decode()) == (0, "")
