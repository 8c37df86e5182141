"""`qinet-agent conformance`: any agent, of whatever make, against the protocol."""

import asyncio
import subprocess
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import typer

from controller.domain.refusals import InvalidValue
from controller.identity.peers import Identity, Kind
from controller.identity.tls_files import Tls, TlsFiles, files_in, load_tls
from southbound.commands.exits import Exit
from southbound.conformance.output import Output, as_json, as_junit, row, summary
from southbound.conformance.run import run
from southbound.conformance.settings import Settings
from southbound.conformance.verdict import Check, Status, Verdict


def controller_tls(pki: Path, name: str, files: tuple[Path | None, Path | None, Path | None]) -> Tls:
    """Return the certificate that the suite shows.

    Args:
        pki: Directory as `qinetctl pki` makes it.
        name: Of the controller, there.
        files: Certificate, key and CA in place of them; all or none.

    Raises:
        InvalidValue: Some of the files are given, and not all.
        TlsRefused: They cannot be used.
    """
    certificate, key, ca = files
    if certificate is None and key is None and ca is None:
        return load_tls(files_in(pki, Identity(Kind.CONTROLLER, name)), now=datetime.now(UTC))
    if certificate is None or key is None or ca is None:
        raise InvalidValue("", ("--certificate", "goes with --key and --ca: give all three, or none of them"))
    return load_tls(TlsFiles(ca=ca, certificate=certificate, key=key), now=datetime.now(UTC))


def restarter(command: str, within_s: float = 60.0) -> Callable[[], Awaitable[None]]:
    """Return what runs the shell command that kills the agent and starts it again; it must end within that time."""

    async def restart() -> None:
        # The agent that it leaves behind must not hold our output open.
        process = await asyncio.create_subprocess_shell(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            async with asyncio.timeout(within_s):
                code = await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
            what = f"has not ended within {within_s:g} s: have it leave the agent behind in the background: {command}"
            raise InvalidValue("", ("--restart-command", what)) from None
        if code:
            raise InvalidValue("", ("--restart-command", f"exited with {code}: {command}"))

    return restart


async def conform(tls: Tls, listen: str, settings: Settings, checks: Sequence[Check], output: Output) -> Exit:
    """Run the checks, and tell what came of them; FAULT where one failed.

    Raises:
        Refusal: They cannot be run.
    """

    def listening(port: int) -> None:
        host = listen.rpartition(":")[0]
        typer.echo(f"waiting at {host}:{port} for the agent, as {tls.identity}", err=True)

    def judged(verdict: Verdict) -> None:
        typer.echo(row(verdict), err=output is not Output.TABLE)

    verdicts = await run(tls, listen, settings, checks=checks, listening=listening, judged=judged)
    match output:
        case Output.TABLE:
            typer.echo(summary(verdicts))
        case Output.JSON:
            typer.echo(as_json(verdicts))
        case Output.JUNIT:
            typer.echo(as_junit(verdicts))
    return Exit.FAULT if any(one.status is Status.FAIL for one in verdicts) else Exit.DONE
