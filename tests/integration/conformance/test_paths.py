"""The suite's checks of entanglement paths pass on an agent that has pairs, and fail on one that takes anything."""

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from controller.identity import lab_ca
from southbound.agent import configuration
from southbound.agent.node import Agent
from southbound.agent.uplink import ControllerAddress
from southbound.conformance.run import chosen, run
from southbound.conformance.settings import Settings
from southbound.conformance.verdict import Status, Verdict
from tests.integration.agent.pair_line import PairLine
from tests.integration.agent.scripted import certificate


async def judged(directory: Path) -> dict[str, Verdict]:
    lab_ca.init_ca(directory / "pki", now=datetime.now(UTC))
    listening: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    suite = asyncio.create_task(
        run(
            certificate(directory, "controller/c1"),
            "127.0.0.1:0",
            Settings(node="b", heartbeat_ms=200, report_ms=200),
            checks=chosen(["path"]),
            listening=listening.set_result,
            judged=lambda _: None,
        )
    )
    address = ControllerAddress(name="c1", address=f"127.0.0.1:{await listening}")
    async with AsyncExitStack() as stack:
        plan = PairLine(directory).plan("b", address)
        stack.push_async_callback((await Agent.start(plan)).stop)
        return {verdict.check.id: verdict for verdict in await suite}


async def test_our_agent_with_pairs_passes(tmp_path: Path) -> None:
    verdicts = await judged(tmp_path)
    assert {name: one.status for name, one in verdicts.items()} == dict.fromkeys(
        ("path.served", "path.beyond"), Status.PASS
    )
    assert "memory_pairs: take 9 memories of b, which has 8" in verdicts["path.beyond"].observed


async def test_an_agent_that_promises_what_its_hardware_cannot_do_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(configuration, "path_problem", lambda *_: "")
    verdicts = await judged(tmp_path)
    assert verdicts["path.served"].status is Status.PASS
    assert verdicts["path.beyond"].status is Status.FAIL
    assert "acknowledged" in verdicts["path.beyond"].observed
