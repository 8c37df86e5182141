"""A line of three nodes and a controller that does what a test says."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.integration.agent.scripted import Controller, Line, Running


@pytest.fixture
def line(tmp_path: Path) -> Line:
    return Line(tmp_path)


@pytest.fixture
async def controller(line: Line) -> AsyncIterator[Controller]:
    async with Controller(line.tls("controller/c1")) as controller:
        yield controller


@pytest.fixture
async def running(line: Line, controller: Controller) -> AsyncIterator[Running]:
    """Agents that a test starts; they are stopped at its end."""
    async with AsyncExitStack() as stack:
        yield Running(line, controller, stack)
