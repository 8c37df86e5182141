"""Runs the checks one after the other against the agent that dials in."""

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import Final

from controller.domain.refusals import InvalidValue, Refusal
from controller.identity.credentials import AnyTls
from southbound.conformance import (
    hello_checks,
    liveness_checks,
    message_checks,
    path_checks,
    report_checks,
    update_checks,
)
from southbound.conformance.bench import Bench
from southbound.conformance.settings import Settings
from southbound.conformance.verdict import Broken, Check, Skipped, Status, Verdict

CHECKS: Final[tuple[Check, ...]] = (
    *hello_checks.CHECKS,
    *update_checks.CHECKS,
    *path_checks.CHECKS,
    *message_checks.CHECKS,
    *liveness_checks.CHECKS,
    *report_checks.CHECKS,
    *hello_checks.LAST_CHECKS,
    *report_checks.LAST_CHECKS,
)
"""In the order in which they are run: the last ones judge what was seen during all others."""

_CHECK_TIMEOUT_S: Final = 120.0
_MOST_CHARACTERS: Final = 2000


def chosen(only: Collection[str]) -> tuple[Check, ...]:
    """Return the checks of these ids, or of these groups as `update`; all where none is named.

    Raises:
        InvalidValue: There is none of that id.
    """
    for name in only:
        if not any(_goes_by(check, name) for check in CHECKS):
            known = ", ".join(check.id for check in CHECKS)
            raise InvalidValue("", ("--only", f"{name!r} is no check; there are {known}"))
    return tuple(check for check in CHECKS if not only or any(_goes_by(check, name) for name in only))


def _goes_by(check: Check, name: str) -> bool:
    return name in (check.id, check.id.partition(".")[0])


async def run(
    tls: AnyTls,
    address: str,
    settings: Settings,
    *,
    checks: Sequence[Check] = CHECKS,
    listening: Callable[[int], None],
    judged: Callable[[Verdict], None],
) -> list[Verdict]:
    """Run the checks, and return what came of each.

    Args:
        tls: The certificate of a controller.
        address: host:port to listen at.
        settings: See there.
        checks: In order.
        listening: Told the port.
        judged: Told each verdict at once.

    Raises:
        Precondition: It cannot be listened there.
        TlsRefused: The certificate is no daemon's.
    """
    bench = Bench(settings)
    verdicts: list[Verdict] = []
    listening(await bench.start(tls, address))
    try:
        gone = ""
        for check in checks:
            if gone and not check.looks_back:
                verdict = _verdict(check, Status.SKIP, gone, time.monotonic())
            else:
                verdict = await _judge(bench, check)
                gone = gone or bench.gone
            verdicts.append(verdict)
            judged(verdict)
        if not gone:
            await _leave_clean(bench)
    finally:
        await bench.stop()
    return verdicts


async def _judge(bench: Bench, check: Check) -> Verdict:
    began_s = time.monotonic()
    try:
        async with asyncio.timeout(_CHECK_TIMEOUT_S):
            if not check.looks_back:
                bench.begin_check()
                await bench.clean()
            observed = await check.work(bench)
    except Skipped as skipped:
        return _verdict(check, Status.SKIP, str(skipped), began_s)
    except Broken as broken:
        bench.unsure = True
        return _verdict(check, Status.FAIL, bench.flooded or str(broken), began_s)
    except TimeoutError:
        bench.unsure = True
        return _verdict(check, Status.FAIL, f"it was not done within {_CHECK_TIMEOUT_S:g} s", began_s)
    except Refusal:
        raise
    except Exception as problem:
        # An agent can say anything: what no check foresaw is told with the others.
        bench.unsure = True
        return _verdict(check, Status.FAIL, f"it cannot be judged ({type(problem).__name__}: {problem})", began_s)
    if bench.flooded and not check.looks_back:
        return _verdict(check, Status.FAIL, bench.flooded, began_s)
    return _verdict(check, Status.PASS, observed, began_s)


def _verdict(check: Check, status: Status, observed: str, began_s: float) -> Verdict:
    return Verdict(check=check, status=status, observed=_shown(observed), took_s=time.monotonic() - began_s)


def _shown(text: str) -> str:
    """Return the text so that nothing that an agent said breaks a line, steers a terminal or is no XML."""
    short = text if len(text) <= _MOST_CHARACTERS else text[: _MOST_CHARACTERS - 3] + "..."
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in short)


async def _leave_clean(bench: Bench) -> None:
    # What cannot be cleaned has failed a check already.
    with suppress(Broken, Skipped, TimeoutError):
        async with asyncio.timeout(_CHECK_TIMEOUT_S):
            if bench.lines:
                await bench.clean()
