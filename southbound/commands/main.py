"""The command line of the agent: qinet-agent run | fleet | fault | conformance | reset-election."""

import asyncio
from collections.abc import Callable, Coroutine
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, Never, TypeVar

import typer

from controller.domain.refusals import InvalidValue, Refusal
from controller.observability.logs import configure_logging
from qinet.lab.v1 import lab_pb2 as pb
from southbound.agent.drivers.simulated import HISTORY_S
from southbound.agent.plan import SimulatedNetwork, agent_plan
from southbound.agent.storage import reset_election
from southbound.agent.uplink import ControllerAddress
from southbound.commands.conformance import conform, controller_tls, restarter
from southbound.commands.daemons import run_agent, run_fleet
from southbound.commands.exits import CODES_HELP, Exit
from southbound.commands.faults import find_lab, order
from southbound.conformance.output import Output, listing
from southbound.conformance.run import CHECKS, chosen
from southbound.conformance.settings import Settings
from southbound.fleet.fleet import FleetPlan

app = typer.Typer(
    name="qinet-agent",
    help="The agent of a QKD node; its QKD modules are simulated, or key sources of other vendors.",
    epilog=CODES_HELP,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

T = TypeVar("T")

_LEVELS: Final = ("debug", "info", "warning", "error")
_FORMATS: Final = ("text", "json")

Topology = Annotated[Path, typer.Option(help="Topology file, the same for every agent of the network.")]
Pki = Annotated[Path, typer.Option(help="Directory as `qinetctl pki` makes it.", envvar="QINET_PKI")]
Controllers = Annotated[
    list[str],
    typer.Option(
        "--controller", help="HOST:PORT of a controller, or NAME@HOST:PORT where it is not controller/controller."
    ),
]
HistoryS = Annotated[
    float, typer.Option(min=0.0, help="Seconds for which the modules of a never-used store have run already.")
]
LogLevel = Annotated[str, typer.Option(help=f"One of {', '.join(_LEVELS)}.")]
LogFormat = Annotated[str, typer.Option(help="text, or json: one object a line.")]


@app.command()
def run(
    *,
    node: Annotated[str, typer.Option(help="Name of the node in the topology.")],
    topology: Topology,
    controller: Controllers,
    state: Annotated[Path, typer.Option(help="Directory of this agent alone; made if missing.")],
    pki: Pki = Path("pki"),
    listen_peer: Annotated[str, typer.Option(help="HOST:PORT for other agents; port 0: any.")] = "127.0.0.1:0",
    listen_delivery: Annotated[str, typer.Option(help="HOST:PORT for GS QKD 014; port 0: any.")] = "127.0.0.1:0",
    advertise: Annotated[str, typer.Option(help="Host under which others reach this node, if not that.")] = "",
    history_s: HistoryS = HISTORY_S,
    config: Annotated[
        Path | None, typer.Option(help="Configuration file of this agent: the drivers of its modules.")
    ] = None,
    log_level: LogLevel = "info",
    log_format: LogFormat = "text",
) -> None:
    """Run the agent of one node until Ctrl-C; state/agent.json tells its addresses once it listens."""

    async def work() -> Exit:
        plan = agent_plan(
            SimulatedNetwork(topology),
            node,
            pki=pki,
            controllers=[ControllerAddress.parse(one) for one in controller],
            state_dir=state,
            peer_listen=_endpoint("--listen-peer", listen_peer),
            delivery_listen=_endpoint("--listen-delivery", listen_delivery),
            advertised_host=advertise,
            history_s=history_s,
            config=config,
        )
        return await run_agent(plan)

    _daemon(work, log_level, log_format)


@app.command()
def fleet(
    *,
    topology: Topology,
    controller: Controllers,
    state: Annotated[
        Path, typer.Option(help="Directory of the fleet; one below it for each node.", envvar="QINET_FLEET_STATE")
    ] = Path("fleet"),
    pki: Pki = Path("pki"),
    lab_listen: Annotated[str, typer.Option(help="HOST:PORT on loopback where faults are ordered; port 0: any.")] = "",
    leave_out: Annotated[
        list[str] | None, typer.Option("--except", help="A node whose agent somebody else runs; repeatable.")
    ] = None,
    history_s: HistoryS = HISTORY_S,
    log_level: LogLevel = "info",
    log_format: LogFormat = "text",
) -> None:
    """Run the agents of a whole topology until Ctrl-C; state/fleet.json tells their addresses once all listen."""

    async def work() -> Exit:
        plan = FleetPlan(
            network=SimulatedNetwork(topology),
            pki=pki,
            controllers=[ControllerAddress.parse(one) for one in controller],
            state_dir=state,
            left_out=frozenset(leave_out or ()),
            history_s=history_s,
        )
        return await run_fleet(plan, _endpoint("--lab-listen", lab_listen) if lab_listen else None)

    _daemon(work, log_level, log_format)


class Kind(StrEnum):
    """What can be ordered."""

    CUT = "cut"
    REPAIR = "repair"
    RATE = "rate"
    QBER = "qber"
    FIDELITY = "fidelity"
    CRASH = "crash"
    RESTART = "restart"
    LIE = "lie"
    SLOW = "slow"
    CLOCK = "clock"


_MOST: Final = {
    Kind.RATE: 1.0,
    Kind.QBER: 0.5,
    Kind.FIDELITY: 1.0,
    Kind.SLOW: 60_000.0,
    Kind.LIE: 1.0,
    Kind.CLOCK: 1.0,
}
_BEGINS: Final = frozenset({Kind.LIE, Kind.CLOCK})
"""Kinds that begin without a value, and end with 0."""


# A negative number is a value that is out of range, and no option of one digit.
@app.command(epilog=CODES_HELP, context_settings={"ignore_unknown_options": True})
def fault(
    *,
    kind: Annotated[
        Kind, typer.Argument(help="cut|repair|rate|qber|fidelity a link, crash|restart|lie|slow|clock an agent.")
    ],
    name: Annotated[str, typer.Argument(help="Name of the link; of the node from crash on.")],
    value: Annotated[
        float | None,
        typer.Argument(
            help="rate: part that is left, 0 to 1. qber: what is measured, 0 to 0.5. fidelity: factor on the Werner "
            "parameter of a link's pairs, 0 to 1. slow: how late, ms, 0 ends it. lie, clock: 0 ends it."
        ),
    ] = None,
    state: Annotated[
        Path,
        typer.Option(help="The fleet's state directory; its fleet.json says the rest.", envvar="QINET_FLEET_STATE"),
    ] = Path("fleet"),
    lab: Annotated[str, typer.Option(help="HOST:PORT of the lab service, in place of the fleet's word.")] = "",
    lab_identity: Annotated[str, typer.Option(help="node/NAME that answers there, in place of it.")] = "",
    pki: Annotated[
        Path | None, typer.Option(help="Directory of certificates, in place of the fleet's.", envvar="QINET_PKI")
    ] = None,
    user: Annotated[str, typer.Option(help="Whose certificate to show: user/NAME.")] = "user/operator",
) -> None:
    """Order a fault of a running fleet: a cut fibre, less rate, a higher QBER, worse pairs, a crash; or end one.

    An agent can also lie (change the keys that it passes on, with valid tags), obey late, or lose its clock.
    """
    if value is None and kind in _BEGINS:
        value = 1.0
    if (value is not None) is not (kind in _MOST):
        _leave(Exit.USAGE, f"{kind} takes {'a value' if value is None else 'no value'}: see qinet-agent fault --help")
    most = _MOST.get(kind, 0.0)
    if value is not None and not 0.0 <= value <= most:
        _leave(Exit.USAGE, f"{kind} takes a value in 0..{most:g}, not {value:g}")
    request = _request(kind, name, value or 0.0)
    where = _refusing(lambda: find_lab(state, address=lab, peer=lab_identity, pki=pki, user=user))
    code, message = _refusing(lambda: order(where, request))
    _leave(code, message)


def _request(kind: Kind, name: str, value: float) -> pb.OrderFaultRequest:
    match kind:
        case Kind.CUT:
            return pb.OrderFaultRequest(cut=pb.CutFault(link=name))
        case Kind.REPAIR:
            return pb.OrderFaultRequest(repair=pb.RepairFault(link=name))
        case Kind.RATE:
            return pb.OrderFaultRequest(rate=pb.RateFault(link=name, factor=value))
        case Kind.QBER:
            return pb.OrderFaultRequest(qber=pb.QberFault(link=name, qber=value))
        case Kind.FIDELITY:
            return pb.OrderFaultRequest(fidelity=pb.FidelityFault(link=name, factor=value))
        case Kind.CRASH:
            return pb.OrderFaultRequest(crash=pb.CrashFault(node=name))
        case Kind.RESTART:
            return pb.OrderFaultRequest(restart=pb.RestartFault(node=name))
        case Kind.LIE:
            return pb.OrderFaultRequest(lie=pb.LieFault(node=name, lies=value > 0))
        case Kind.SLOW:
            return pb.OrderFaultRequest(slow=pb.SlowFault(node=name, delay_ms=round(value)))
        case Kind.CLOCK:
            return pb.OrderFaultRequest(clock=pb.ClockFault(node=name, lost=value > 0))


@app.command(epilog=CODES_HELP)
def conformance(
    *,
    listen: Annotated[str, typer.Option(help="HOST:PORT where the agent under test dials in; port 0: any.")] = "",
    node: Annotated[str, typer.Option(help="Its node; without it, the first that dials in.")] = "",
    pki: Pki = Path("pki"),
    name: Annotated[
        str, typer.Option("--as", help="Name of the controller whose certificate is shown.")
    ] = "controller",
    certificate: Annotated[Path | None, typer.Option(help="A controller's certificate, in place of that.")] = None,
    key: Annotated[Path | None, typer.Option(help="Its private key.")] = None,
    ca: Annotated[Path | None, typer.Option(help="The CA of the agent's certificate.")] = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="CHECK", help="A check, or a group as `update`; repeatable.")
    ] = None,
    restart_command: Annotated[
        str, typer.Option(help="Shell command that kills the agent, as SIGKILL does, and starts it again.")
    ] = "",
    heartbeat_ms: Annotated[int, typer.Option(min=20, help="Heartbeat interval that the agent is told.")] = 500,
    report_ms: Annotated[int, typer.Option(min=20, help="Report interval that the agent is told.")] = 1000,
    patience_s: Annotated[float, typer.Option(min=0.1, help="How long the agent may take to dial in.")] = 30.0,
    output: Annotated[Output, typer.Option("--output", "-o", help="How it is told.")] = Output.TABLE,
    list_checks: Annotated[bool, typer.Option("--list", help="Tell what is checked, and check nothing.")] = False,
) -> None:
    """Check an agent of any make against the protocol: it dials in here, as if this were its controller.

    Give it a fresh state directory: what it has in force is taken out, and its highest election id rises. Exit code 1
    means that a check failed.
    """
    if list_checks:
        typer.echo(listing(CHECKS))
        return

    async def work() -> Exit:
        host, port = _endpoint("--listen", listen)
        settings = Settings(
            node=node,
            heartbeat_ms=heartbeat_ms,
            report_ms=report_ms,
            patience_s=patience_s,
            restart=restarter(restart_command) if restart_command else None,
        )
        checks = chosen(only or [])
        tls = controller_tls(pki, name, (certificate, key, ca))
        return await conform(tls, f"{host}:{port}", settings, checks, output)

    try:
        code = _refusing(lambda: asyncio.run(work()))
    except KeyboardInterrupt:
        code = Exit.INTERRUPTED
    raise typer.Exit(code)


@app.command("reset-election")
def reset(state: Annotated[Path, typer.Option(help="State directory of the stopped agent.")]) -> None:
    """Forget the highest election id: the way out where a confused controller raised it, or its store was replaced."""
    forgotten = _refusing(lambda: reset_election(state))
    typer.echo("it had seen none" if forgotten is None else f"forgotten: epoch and term {forgotten}")


def _endpoint(option: str, text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not (host and colon and port.isascii() and port.isdigit() and int(port) <= 65535):
        raise InvalidValue("", (option, f"{text!r} is not HOST:PORT"))
    return host, int(port)


def _daemon(work: Callable[[], Coroutine[Any, Any, Exit]], log_level: str, log_format: str) -> None:
    if log_level not in _LEVELS:
        _leave(Exit.USAGE, f"--log-level {log_level!r} is not one of {', '.join(_LEVELS)}")
    if log_format not in _FORMATS:
        _leave(Exit.USAGE, f"--log-format {log_format!r} is not one of {', '.join(_FORMATS)}")
    configure_logging(log_level.upper(), as_json=log_format == "json")
    try:
        code = _refusing(lambda: asyncio.run(work()))
    except KeyboardInterrupt:
        code = Exit.INTERRUPTED
    raise typer.Exit(code)


def _refusing(work: Callable[[], T]) -> T:
    try:
        return work()
    except InvalidValue as refusal:
        _leave(Exit.USAGE, refusal.message)
    except Refusal as refusal:
        _leave(Exit.FILE, refusal.message)


def _leave(code: Exit, message: str) -> Never:
    for line in message.splitlines():
        typer.echo(line if code is Exit.DONE else f"qinet-agent: {line}", err=code is not Exit.DONE)
    raise typer.Exit(code)


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
