"""The command line as a whole: global options, all commands, and the one place where failures become exit codes."""

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from controller.cli.arguments import command_of, normalised
from controller.cli.connection import DEFAULT_CONTROLLER, DEFAULT_PKI, DEFAULT_USER, Target
from controller.cli.exits import CODES_HELP, Exit, Stop
from controller.cli.output import clean, tell
from controller.cli.quick_parameters import QuickCommand, QuickGroup

_EPILOG = f"The options above may also stand behind the command. {CODES_HELP} See docs/qinetctl.md."

COMMANDS: Final = {
    "get": "get:app",
    "relay": "relay:app",
    "entangle": "entangle:app",
    "route": "route:route",
    "node": "place:node_app",
    "link": "place:link_app",
    "application": "application:app",
    "sae": "sae:app",
    "watch": "watch:app",
    "events": "events:events",
    "top": "top:top",
    "optimise": "optimise:app",
    "what-if": "operate:what_if",
    "freeze": "operate:freeze",
    "unfreeze": "operate:unfreeze",
    "status": "operate:status",
    "topology": "topology:app",
    "pki": "pki:app",
    "demo": "demo_command:demo",
}
"""By command, its module in this package and what is there: a group of commands, or the function itself."""


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"qinetctl {version('qinet-controller')}")
        raise typer.Exit


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


def assembled(command: str = "") -> typer.Typer:
    """Return the program with one command, or with all of them if there is none of that name.

    Args:
        command: One of COMMANDS: the others are then not even imported.
    """
    app = typer.Typer(
        cls=QuickGroup,
        name="qinetctl",
        help="Operate a Qinet controller: networks, key relays, entanglement paths, applications, certificates.",
        epilog=_EPILOG,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["--help", "-h"]},
    )
    app.callback()(root)
    for name in [command] if command in COMMANDS else COMMANDS:
        module, _, attribute = COMMANDS[name].partition(":")
        found: typer.Typer | Callable[..., Any] = getattr(import_module(f"controller.cli.{module}"), attribute)
        if isinstance(found, typer.Typer):
            for each in found.registered_commands:
                each.cls = QuickCommand
            app.add_typer(found, name=name, cls=QuickGroup)
        else:
            app.command(name, cls=QuickCommand)(found)
    return app


def run(arguments: Sequence[str]) -> int:
    """Run one command line, and return its exit code; see `Exit`. Nothing it meets ends in a traceback."""
    code = _run(arguments)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has had enough; without this Python complains when it closes the pipe at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def _wanted(line: Sequence[str]) -> str:
    """Return the command that a line runs, or that a shell completes the arguments of."""
    if "_QINETCTL_COMPLETE" not in os.environ:
        return command_of(line) or ("status" if "--version" in line else "")  # which one does not matter then
    # The last word may still grow into the name of another command.
    words = (os.environ.get("COMP_WORDS") or os.environ.get("_TYPER_COMPLETE_ARGS") or "").split(" ")
    return command_of(words[1:-1])


def _run(arguments: Sequence[str]) -> int:
    from controller.domain.refusals import InvalidValue, Refusal

    line = normalised(arguments)
    try:
        assembled(_wanted(line))(args=line, prog_name="qinetctl")
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
    except Refusal as problem:  # of certificates or the CA
        _tell_refusal(problem)
        return Exit.FILE
    except Exception as fault:
        _tell_fault(fault)
        return Exit.FAULT
    return Exit.DONE


def _tell_refusal(problem: Exception) -> None:
    from controller.config.mistakes import Mistakes

    if isinstance(problem, Mistakes):
        # As editors and terminals know it, so that a click leads to the line.
        print(*map(clean, map(str, problem.mistakes)), sep="\n", file=sys.stderr)
    else:
        tell(*str(problem).splitlines())


def _tell_fault(fault: Exception) -> None:
    # A person at a terminal is helped by a sentence, not by a traceback; who looks for the fault asks for it.
    tell(f"failed ({type(fault).__name__}): {fault}", "this is a fault of qinetctl: QINET_DEBUG=1 shows where")
    if os.environ.get("QINET_DEBUG"):
        import traceback

        traceback.print_exception(fault)
