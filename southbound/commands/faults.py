"""Orders faults at a fleet's lab service."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from controller.domain.refusals import InvalidValue, Refusal
from controller.identity.credentials import open_channel
from controller.identity.peers import Identity, parse_identity
from controller.identity.tls_files import files_in, load_tls
from qinet.lab.v1 import lab_pb2 as pb
from qinet.lab.v1 import lab_pb2_grpc
from southbound.commands.daemons import FLEET_FILE
from southbound.commands.exits import Exit

_TIMEOUT_S = 30.0


class NoFleet(Refusal):
    """There is no running fleet where one was looked for."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__("NO_FLEET", f"{path}: {problem}", {"file": path})


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """Where a fleet's lab service is, who answers there, and with whose certificate we ask."""

    address: str
    peer: Identity
    pki: Path
    user: Identity


def find_lab(state: Path, *, address: str, peer: str, pki: Path | None, user: str) -> Lab:
    """Return the lab of the fleet whose state directory that is; what is given takes the place of what the fleet says.

    Raises:
        NoFleet: No fleet says where it is.
        InvalidValue: An identity is malformed.
    """
    told: dict[str, object] = {}
    if not (address and peer and pki):
        told = _told(state / FLEET_FILE)
    lab = told.get("lab") or {"address": "", "identity": ""}
    assert isinstance(lab, dict)
    identity = parse_identity(peer or str(lab["identity"]))
    if identity.dns_name is None:
        raise InvalidValue("", ("lab-identity", f"{identity} serves nothing: give the node/NAME that the fleet names"))
    return Lab(
        address=address or str(lab["address"]),
        peer=identity,
        pki=pki or Path(str(told["pki"])),
        user=parse_identity(user),
    )


def order(lab: Lab, fault: pb.OrderFaultRequest) -> tuple[Exit, str]:
    """Order a fault; return the exit code and what to tell.

    Raises:
        TlsRefused: The user's certificate cannot be used.
    """
    tls = load_tls(files_in(lab.pki, lab.user), expect=lab.user)
    with open_channel(tls, lab.address, lab.peer) as channel:
        try:
            answer = lab_pb2_grpc.LabServiceStub(channel).OrderFault(fault, timeout=_TIMEOUT_S)
        except grpc.RpcError as refused:
            code, details = _said(refused)
            if code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}:
                where = f"the lab at {lab.address} does not answer as {lab.peer}"
                return Exit.UNREACHABLE, f"{where}: is the fleet running? ({details})"
            return Exit.REFUSED, details or code.name
    what = _in_force(fault)
    return Exit.DONE, what if answer.changed else f"{what} already, nothing changed"


def _in_force(fault: pb.OrderFaultRequest) -> str:
    match fault.WhichOneof("fault"):
        case "cut":
            return f"links/{fault.cut.link}: cut"
        case "repair":
            return f"links/{fault.repair.link}: as new"
        case "rate":
            return f"links/{fault.rate.link}: rate at {fault.rate.factor:g} of what it was"
        case "qber":
            return f"links/{fault.qber.link}: QBER at {fault.qber.qber:g}"
        case "fidelity":
            return f"links/{fault.fidelity.link}: Werner parameter at {fault.fidelity.factor:g} of what it was"
        case "crash":
            return f"nodes/{fault.crash.node}: agent crashed"
        case "lie":
            return (
                f"nodes/{fault.lie.node}: {'changes what it passes on' if fault.lie.lies else 'passes on what comes'}"
            )
        case "slow":
            return f"nodes/{fault.slow.node}: obeys {fault.slow.delay_ms} ms late"
        case "clock":
            return f"nodes/{fault.clock.node}: clock {'lost' if fault.clock.lost else 'found'}"
        case _:
            return f"nodes/{fault.restart.node}: agent runs"


def _said(refused: grpc.RpcError) -> tuple[grpc.StatusCode, str]:
    # What a stub raises is a call too; its type does not say so.
    call: Any = refused
    return call.code(), call.details() or ""


def _told(path: Path) -> dict[str, object]:
    try:
        told = json.loads(path.read_text())
    except FileNotFoundError:
        raise NoFleet(path, "does not exist: name the --state directory of a running fleet, or --lab") from None
    except (OSError, ValueError) as problem:
        raise NoFleet(path, f"cannot be read ({problem})") from None
    if not isinstance(told, dict) or "lab" not in told:
        raise NoFleet(path, "names no lab: start the fleet with --lab-listen")
    return told
