"""A lab CA on a fixed clock."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from controller.identity import lab_ca

NOW = datetime(2030, 1, 2, 3, 4, 5, 678, tzinfo=UTC)


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture
def pki(tmp_path: Path) -> Path:
    directory = tmp_path / "pki"
    lab_ca.init_ca(directory, now=NOW)
    return directory
