"""A failed call in a person's words: what is wrong, the facts, and what to do next."""

from typing import TYPE_CHECKING, Final, cast

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from controller.cli.connection import DEFAULT_CONTROLLER
from controller.cli.exits import Exit, Stop

if TYPE_CHECKING:
    from google.protobuf.any_pb2 import Any as PackedDetail

_NEXT_BY_REASON: Final = {
    "NO_ROUTE": "`qinetctl get links` shows which links are up; --accept-blocked stores what was asked and retries it",
    "NO_CAPACITY": "ask for a lower --rate, or free what it names; --accept-blocked stores what was asked and "
    "retries it",
    "FIDELITY_UNREACHABLE": "ask for no more --fidelity than it names, or for a lower --rate: of fewer pairs, more can "
    "be purified",
    "MIXED_REGIMES": "the links of a route have one regime: `qinetctl get links` shows that of each; give those that "
    "it names the same in the topology, or join the ends by others",
    "STORAGE_DECAY": "pairs would decay in the buffers: give these links `regime: memory` in the topology, or their "
    "nodes memories of longer coherence",
    "NO_MEMORIES": "go around the nodes that it names with --avoid-node, or give them memories in the topology",
    "CANNOT_SWAP": "go around the nodes that it names with --avoid-node, or give them a swap_success above 0 in the "
    "topology",
    "NO_AUTHENTICATION_KEY": "name a key relay between the same ends with --authentication RELAY (`qinetctl relay "
    "create` makes one), or say --authentication pre-shared",
    "NO_SECRET_KEY": "ask for a higher --fidelity, or for larger blocks with --block",
    "DEPENDENCY_CYCLE": "the key that authenticates must not be made of these pairs: name another relay, keep that one "
    "off the key link with `relay update --avoid-link`, or say --authentication pre-shared",
    "NO_DISJOINT_ROUTES": "ask for fewer --shares or another --protection, or add links around what it names",
    "STALE_ETAG": "somebody changed it meanwhile: look at it again, and use its new etag",
    "ALREADY_DELETED": "what that --request-id created was deleted: use a new one to create it again",
    "REQUEST_ID_REUSED": "that --request-id came with another request before: use a new one",
    "DISABLED": "`qinetctl relay update NAME --enable` comes first, or `entangle update` for a path",
    "REMOVING": "it is on its way out: wait until it is gone, then create it again",
    "UNPROTECTED": "`qinetctl relay update NAME --protection 1:1` comes first",
    "NO_BACKUP": "there is nothing to switch to yet: `qinetctl relay show NAME` tells of the backup",
    "OVER_RESERVED": "move services off what would carry less, as with `qinetctl link drain`, then try again",
    "STOPPING": "the controller is being stopped: try again when it is back",
    "IN_USE": "delete what uses it first",
    "APPLICATION_TAKEN": "another relay feeds that application: `qinetctl get applications` shows which",
    "SAE_PAIR_TAKEN": "another application joins these SAEs: `qinetctl get applications` shows which",
    "SAE_ELSEWHERE": "`qinetctl sae list` shows at which node each SAE is",
    "SAME_NODE": "an application joins SAEs at two nodes: `qinetctl sae list` shows where they are",
    "UNKNOWN_SAE": "add the SAE with `qinetctl sae add ID NODE`",
    "TOO_HARD": "loosen the demand: fewer --shares, no --max-hops, fewer nodes to pass",
    "KIND_NOT_ALLOWED": "ask as a user: --as user/NAME, with a certificate from `qinetctl pki issue user/NAME`",
    "NOT_LEADER": "ask the leader: --controller with the address above",
}
_NEXT_BY_CODE: Final = {
    grpc.StatusCode.NOT_FOUND: "`qinetctl get` and `qinetctl sae list` show what there is",
    grpc.StatusCode.ALREADY_EXISTS: "choose another name, or delete what is there",
    grpc.StatusCode.INVALID_ARGUMENT: "correct what is named and try again",
    grpc.StatusCode.UNIMPLEMENTED: "this version of the controller does not offer it",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "the controller is busy: try again in a moment",
    grpc.StatusCode.UNAUTHENTICATED: "issue a certificate with `qinetctl pki issue user/NAME`",
    grpc.StatusCode.PERMISSION_DENIED: "ask as somebody who may: --as user/NAME",
    grpc.StatusCode.INTERNAL: "the controller failed: its log says where",
    grpc.StatusCode.UNKNOWN: "the controller failed: its log says where",
}
_WISHES: Final = {
    "avoid_links": "--avoid-link",
    "avoid_nodes": "--avoid-node",
    "max_hops": "--max-hops",
    "pass_links": "--pass-link",
    "pass_nodes": "--pass-node",
    "trust_domains": "--trust-domain",
}
"""By field of the API, the option that asks for it."""
_BROKEN_OFF: Final = ("endpoint closing", "connection reset", "broken pipe")
"""What gRPC says of a connection that ended before anybody was known to be there."""
_SILENT: Final = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED})


def explained(error: grpc.RpcError, *, address: str, timeout_s: float) -> Stop:
    """Return how the command ends after a failed call.

    Args:
        error: As a blocking stub raised it.
        address: Of the controller, for the message.
        timeout_s: The deadline that the call had.
    """
    code, message = error.code(), error.details() or ""
    details = _details(error)
    if code in _SILENT and not details:
        return _no_answer(code, message, address=address, timeout_s=timeout_s)
    reason, facts, lines = _facts(details, message)
    mark = " ".join(dict.fromkeys(filter(None, (code.name, reason))))
    follow = _next(reason, facts) or _NEXT_BY_CODE.get(code)
    return Stop(
        Exit.UNREACHABLE if code in _SILENT else Exit.REFUSED,
        f"refused ({mark}): {message or 'no message'}",
        *(f"  {line}" for line in lines),
        *([f"next: {follow}"] if follow else []),
    )


def _next(reason: str, facts: dict[str, str]) -> str | None:
    if reason == "KIND_NOT_ALLOWED" and facts.get("allowed") == "node":
        return (
            "that is the port of the agents (southbound): give --controller the northbound address of the controller, "
            f"{DEFAULT_CONTROLLER} where nothing else is configured"
        )
    if reason == "NO_ROUTE" and facts.get("constraint"):
        wishes = [_WISHES.get(name, name) for name in facts["constraint"].split(",")]
        return f"ask for less: relax {' or '.join(wishes)}, or leave it out"
    return _NEXT_BY_REASON.get(reason)


def _details(error: grpc.RpcError) -> "list[PackedDetail]":
    try:
        status = rpc_status.from_call(cast("grpc.Call", error))  # what blocking stubs raise is both
    except ValueError:  # the details contradict the status that they came with: believe the status
        return []
    return list(status.details) if status else []


def _facts(details: "list[PackedDetail]", message: str) -> tuple[str, dict[str, str], list[str]]:
    """Return the reason, the facts of programs, and a line for each thing that the message has not told yet."""
    reason, fields, conditions, facts = "", list[str](), list[tuple[str, str]](), dict[str, str]()
    for packed in details:
        info, request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        failure, retry = error_details_pb2.PreconditionFailure(), error_details_pb2.RetryInfo()
        if packed.Unpack(info):
            reason = info.reason
            facts.update(info.metadata)
        elif packed.Unpack(request):
            fields += [f"{one.field}: {one.description}" for one in request.field_violations]
        elif packed.Unpack(failure):
            conditions += [
                (one.type, ": ".join(filter(None, (one.type, one.subject, one.description))))
                for one in failure.violations
            ]
        elif packed.Unpack(retry):
            facts["retry_after_s"] = f"{retry.retry_delay.ToTimedelta().total_seconds():g}"
    named = [f"{key}: {value}" for key, value in sorted(facts.items()) if not (fields and key.startswith("field."))]
    untold = [f"field {field}" for field in fields if field not in message]
    # The condition of the reason itself only repeats the message.
    others = [text for kind, text in conditions if kind != reason]
    return reason, facts, [*untold, *others, *(line for line in named if not line.endswith(": "))]


def _no_answer(code: grpc.StatusCode, message: str, *, address: str, timeout_s: float) -> Stop:
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return Stop(
            Exit.UNREACHABLE,
            f"no answer from the controller at {address} within {timeout_s:g} s",
            "next: allow more with --timeout. A change may have been made all the same: look before you repeat it, "
            "or repeat it with the same --request-id",
        )
    lowered = message.lower()
    if any(words in lowered for words in _BROKEN_OFF):
        follow = "try again; if it goes on, see in the log of the controller whether it is being stopped or refuses us"
    elif any(word in lowered for word in ("certificate", "handshake", "ssl", "tls", "verification")):
        follow = (
            "who answers there is not the controller of our CA: check --controller, --pki, and --controller-name "
            "against its certificate controller/NAME"
        )
    elif "resolution" in lowered or "resolve" in lowered:
        follow = "that host name is not known here: check --controller"
    else:
        follow = "is it running? Name its address with --controller HOST:PORT or QINET_CONTROLLER"
    return Stop(Exit.UNREACHABLE, f"the controller at {address} is unreachable: {message}", f"next: {follow}")
