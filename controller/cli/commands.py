"""The command line as a whole: global options, all commands, and the one place where failures become exit codes."""

import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from controller.cli import application, get, pki, relay, sae, topology, watch
from controller.cli.arguments import normalised
from controller.cli.connection import DEFAULT_CONTROLLER, DEFAULT_PKI, DEFAULT_USER, Target
from controller.cli.exits import CODES_HELP, Exit, Stop
from controller.cli.output import clean, tell
from controller.cli.route import route

_EPILOG = f"The options above may also stand behind the command. {CODES_HELP} See docs/qinetctl.md."

app = typer.Typer(
    name="qinetctl",
    help="Operate a Qinet controller: networks, key relays, applications, certificates.",
    epilog=_EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)
app.add_typer(get.app, name="get")
app.add_typer(relay.app, name="relay")
app.command()(route)
app.add_typer(application.app, name="application")
app.add_typer(sae.app, name="sae")
app.add_typer(watch.app, name="watch")
app.add_typer(topology.app, name="topology")
app.add_typer(pki.app, name="pki")


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"qinetctl {version('qinet-controller')}")
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    *,
    controller: Annotated[
        str, typer.Option("--controller", envvar="QINET_CONTROLLER", metavar="HOST:PORT", help="Whom to ask.")
    ] = DEFAULT_CONTROLLER,
    controller_name: Annotated[
        str,
        typer.Option(
            "--controller-name",
            envvar="QINET_CONTROLLER_NAME",
            metavar="NAME",
            help="Who must answer there: the controller/NAME of its certificate.",
        ),
    ] = "controller",
    pki_directory: Annotated[
        Path,
        typer.Option("--pki", envvar="QINET_PKI", metavar="DIR", help="Directory of certificates, as `pki` keeps it."),
    ] = Path(DEFAULT_PKI),
    user: Annotated[
        str, typer.Option("--as", envvar="QINET_USER", metavar="user/NAME", help="Who we are, in that directory.")
    ] = DEFAULT_USER,
    ca: Annotated[
        Path | None, typer.Option("--ca", metavar="FILE", help="CA certificate, in place of the directory's.")
    ] = None,
    certificate: Annotated[
        Path | None, typer.Option("--cert", metavar="FILE", help="Our certificate, in place of the directory's.")
    ] = None,
    key: Annotated[Path | None, typer.Option("--key", metavar="FILE", help="Its private key.")] = None,
    timeout_s: Annotated[
        float,
        typer.Option(
            "--timeout",
            envvar="QINET_TIMEOUT",
            metavar="S",
            min=0.001,
            max=86_400,
            help="Deadline of every call, in s.",
        ),
    ] = 10.0,
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Read the global options; no command runs without them."""
    if (certificate is None) != (key is None):
        raise typer.BadParameter("--cert and --key go together")
    context.obj = Target(
        address=controller,
        controller_name=controller_name,
        pki=pki_directory,
        user=user,
        ca=ca,
        certificate=certificate,
        key=key,
        timeout_s=timeout_s,
    )


@app.command()
def demo(
    topology: Annotated[
        str | None, typer.Option("--topology", metavar="NAME|FILE", help="Network: of topologies/, or a file; Tokyo.")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Do everything once, judge it, and exit.")] = False,
    directory: Annotated[
        Path | None,
        typer.Option("--directory", metavar="DIR", help="Where to keep its files; default: a temporary one."),
    ] = None,
) -> None:
    """Run a controller and all agents of a network here, and show a key relay from end to end."""
    from controller.cli import demo as demonstration

    raise typer.Exit(demonstration.run(topology=topology, once=once, directory=directory))


def run(arguments: Sequence[str]) -> int:
    """Run one command line, and return its exit code; see `Exit`. Nothing it meets ends in a traceback."""
    code = _run(arguments)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has had enough; without this Python complains when it closes the pipe at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def _run(arguments: Sequence[str]) -> int:
    from controller.config.mistakes import Mistakes
    from controller.domain.refusals import InvalidValue, Refusal

    try:
        app(args=normalised(arguments), prog_name="qinetctl")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else Exit.DONE if end.code is None else Exit.FAULT
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except Stop as stop:
        tell(*stop.lines)
        return stop.code
    except InvalidValue as problem:
        tell(str(problem))
        return Exit.USAGE
    except Mistakes as mistakes:
        # As editors and terminals know it, so that a click leads to the line.
        print(*map(clean, map(str, mistakes.mistakes)), sep="\n", file=sys.stderr)
        return Exit.FILE
    except Refusal as problem:  # of certificates or the CA
        tell(*str(problem).splitlines())
        return Exit.FILE
    except Exception as fault:
        # A person at a terminal is helped by a sentence, not by a traceback; who looks for the fault asks for it.
        tell(f"failed ({type(fault).__name__}): {fault}", "this is a fault of qinetctl: QINET_DEBUG=1 shows where")
        if os.environ.get("QINET_DEBUG"):
            traceback.print_exc()
        return Exit.FAULT
    return Exit.DONE
