"""The conformance suite passes on our agent, and fails in its place on every agent that was made wrong."""

import asyncio
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from controller.domain.refusals import InvalidValue
from controller.identity import lab_ca
from controller.identity.peers import parse_identity
from controller.identity.tls_files import Tls, load_tls
from southbound.agent import node
from southbound.agent.uplink import ControllerAddress
from southbound.conformance.run import CHECKS, chosen, run
from southbound.conformance.settings import Settings
from southbound.conformance.verdict import Status, Verdict
from tests.integration.agent.scripted import Line
from tests.integration.conformance.bad_agents import BAD, MORE_BAD, Forgetful
from tests.integration.conformance.between import Between, Vice

# Slow enough that a machine that is busy with all of them at once does not miss three in a row.
HEARTBEAT_MS = 400
REPORT_MS = 500


class Trial:
    """One agent with one vice, before the suite."""

    def __init__(self, directory: Path, vice: Vice | None, only: Collection[str]) -> None:
        self._checks = chosen(only)
        self._line = Line(directory, block_s=2.0, block_secret_bit=2_000)
        self._vice = vice
        self._agent: node.Agent | None = None
        self._address = ""
        self._pki = directory / "pki"

    def _tls(self, who: str) -> Tls:
        return load_tls(lab_ca.issue(self._pki, parse_identity(who), now=datetime.now(UTC), renew=True))

    async def run(self) -> dict[str, Verdict]:
        controller, agent = self._tls("controller/controller"), self._tls("node/a")
        listening: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        settings = Settings(
            node="a", heartbeat_ms=HEARTBEAT_MS, report_ms=REPORT_MS, answer_s=5.0, restart=self._restart
        )
        suite = asyncio.create_task(
            run(
                controller,
                "127.0.0.1:0",
                settings,
                checks=self._checks,
                listening=listening.set_result,
                judged=lambda _: None,
            )
        )
        address = f"127.0.0.1:{await listening}"
        between = None
        if self._vice is not None:
            between = Between(self._vice, controller=controller, node=agent, suite=address)
            address = await between.start()
        self._address = address
        try:
            await self._start()
            return {verdict.check.id: verdict for verdict in await suite}
        finally:
            if self._agent is not None:
                await self._agent.crash()
            if between is not None:
                await between.stop()

    async def _start(self) -> None:
        plan = self._line.plan("a", ControllerAddress.parse(self._address))
        modules = plan.find_module
        has = self._line.channels
        self._agent = await node.Agent.start(
            replace(plan, find_module=lambda link: modules(link) if link in has else None)
        )

    async def _restart(self) -> None:
        assert self._agent is not None
        await self._agent.crash()
        if isinstance(self._vice, Forgetful):
            self._vice.killed(self._line.directory / "state" / "a")
        await self._start()


def shown(verdicts: dict[str, Verdict], *statuses: Status) -> str:
    return "\n".join(f"{one.check.id}: {one.observed}" for one in verdicts.values() if one.status in statuses)


@pytest.mark.timeout(300)
async def test_our_agent_passes_and_each_bad_one_fails_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node, "_ORPHAN_CHECK_S", 0.1)
    expected: dict[type[Vice] | None, set[str]] = {None: set()}
    expected |= dict(BAD.items())
    expected |= dict(MORE_BAD.items())
    assert len(BAD) >= 10

    async def tried(kind: type[Vice] | None, directory: Path) -> str:
        """Try one agent, and return what came out otherwise than it should."""
        verdicts = await Trial(directory, kind() if kind else None, groups(kind)).run()
        if kind is None and (set(verdicts) != {check.id for check in CHECKS} or shown(verdicts, Status.SKIP)):
            return f"left out: {shown(verdicts, Status.SKIP)}"
        failed = {one.check.id for one in verdicts.values() if one.status is Status.FAIL}
        return "" if failed == expected[kind] else f"{sorted(failed)}\n{shown(verdicts, Status.FAIL)}"

    told = await asyncio.gather(*(tried(kind, tmp_path / str(number)) for number, kind in enumerate(expected)))
    wrong = {kind: one for kind, one in zip(expected, told, strict=True) if one}
    # Heartbeats are late where the machine was held up; one agent alone, once more, tells that from a fault.
    again = {kind: await tried(kind, tmp_path / f"again-{number}") for number, kind in enumerate(wrong)}
    assert not any(again.values()), "\n\n".join(f"{kind}:\n{wrong[kind]}\n{one}" for kind, one in again.items() if one)


def groups(kind: type[Vice] | None) -> tuple[str, ...]:
    """Return the groups of checks that an agent is tried with; none means all."""
    failed = {name.partition(".")[0] for name in (MORE_BAD.get(kind, ()) if kind else ())}
    return (*failed, *kind.also) if kind and failed else ()


def test_checks_are_chosen_by_id_or_group() -> None:
    assert [check.id for check in chosen(["update.kept"])] == ["update.kept"]
    assert {check.id.partition(".")[0] for check in chosen(["election"])} == {"election"}
    assert chosen([]) == CHECKS
    with pytest.raises(InvalidValue, match=r"no check; there are hello\.first"):
        chosen(["updates"])


def test_every_check_has_an_id_of_its_own_a_demand_and_a_remedy() -> None:
    assert len({check.id for check in CHECKS}) == len(CHECKS)
    for check in CHECKS:
        assert check.section
        assert check.demand.endswith(".")
        assert check.remedy.endswith(".")


async def test_without_an_agent_the_run_fails_at_once_and_says_so(tmp_path: Path) -> None:
    lab_ca.init_ca(tmp_path, now=datetime.now(UTC))
    tls = load_tls(lab_ca.issue(tmp_path, parse_identity("controller/controller"), now=datetime.now(UTC)))
    verdicts = await run(tls, "127.0.0.1:0", Settings(patience_s=0.1), listening=lambda _: None, judged=lambda _: None)
    first, *others = verdicts
    assert first.status is Status.FAIL
    assert first.observed == "the agent did not dial in within 0.1 s"
    assert {one.status for one in others} == {Status.SKIP}
