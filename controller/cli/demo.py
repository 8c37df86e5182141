"""`qinetctl demo`: the main job on a real network, from certificates to a key that survives a cut fibre."""

import json
import shlex
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final, TextIO

import grpc

from controller.cli.demo_keys import KeyClient
from controller.cli.demo_network import RELAY, Network, State
from controller.cli.demo_processes import MASTER, OPERATOR, SLAVE, Daemons, wait_for
from controller.cli.demo_screen import Screen, Stopped
from controller.cli.output import Format, as_text
from controller.config.topology_file import TopologyFile, load_topology
from controller.domain.refusals import Precondition, Refusal
from controller.identity.peers import parse_identity

DEFAULT_TOPOLOGY: Final = "tokyo-2010"
KEY_BIT: Final = 256
KEYS: Final = 4
_RATE_BIT_PER_S: Final = 1000.0
_LOWEST_RATE_BIT_PER_S: Final = 1.0


def run(*, topology: str | None, once: bool, directory: Path | None, output: Format = Format.TABLE) -> int:
    """Run the demonstration.

    Args:
        topology: A file, or the name of one in topologies/; None takes Tokyo's.
        once: Exit when all is shown; else stay up until Ctrl-C.
        directory: Where certificates, stores and logs go; None takes a temporary folder, removed at the end.
        output: Not TABLE: only the outcome goes to standard output, and the steps to standard error.

    Returns:
        0 if everything held, 1 if something did not, 2 for a topology that cannot be used.
    """
    try:
        path = find_topology(topology or DEFAULT_TOPOLOGY)
        read = load_topology(path)
    except Refusal as refusal:
        print(f"qinetctl: {refusal}", file=sys.stderr)
        return 2
    folder = Path(tempfile.mkdtemp(prefix="qinet-demo-")) if directory is None else directory
    daemons = Daemons(directory=folder, topology_path=path, topology=read)
    try:
        daemons.take_directory()
    except Refusal as refusal:
        print(f"qinetctl: {refusal}", file=sys.stderr)
        return 2
    with _stoppable() as signals:
        try:
            return _show(daemons, once=once, output=output)
        except Stopped:
            return 1 if once else 0
        except (Refusal, grpc.RpcError) as failure:
            said = failure.details() if isinstance(failure, grpc.Call) else failure
            print(f"qinetctl: the demonstration failed: {said}", file=sys.stderr)
            _show_logs(daemons)
            return 1
        except RuntimeError:
            if not signals.came_already:
                raise
            return 1 if once else 0  # the signal came while a library held a lock, which then told us so
        finally:
            # From here on a second Ctrl-C would leave daemons behind: it has to wait until they are stopped.
            signals.ignore()
            daemons.stop()
            if directory is None:
                shutil.rmtree(folder, ignore_errors=True)


def find_topology(name: str) -> Path:
    """Return the file of a topology given by path, or by name as in topologies/NAME.yaml.

    Raises:
        Precondition: NO_TOPOLOGY: there is none; names those that there are.
    """
    here = Path(name)
    if here.suffix in {".yaml", ".yml"} and here.is_file():
        return here
    folders = [Path("topologies"), Path(__file__).resolve().parents[2] / "topologies"]
    for folder in folders if name != "profiles" else ():
        if (folder / f"{name}.yaml").is_file():
            return folder / f"{name}.yaml"
    if name == "profiles":
        raise Precondition("NO_TOPOLOGY", "profiles.yaml says what modules can do; it is no topology", {"name": name})
    known = sorted({file.stem for folder in folders for file in folder.glob("*.yaml")} - {"profiles"})
    raise Precondition(
        "NO_TOPOLOGY", f"no topology {name!r}; there are {', '.join(known)}, or give a file", {"name": name}
    )


class _Signals:
    """The signals that end a program, as an exception in the main thread, so that the daemons are stopped in order."""

    NUMBERS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self) -> None:
        self._listening = True

    @property
    def came_already(self) -> bool:
        """Tell whether one has come, or none is listened to any more."""
        return not self._listening

    def ignore(self) -> None:
        """Let them pass from now on: the end has begun."""
        self._listening = False

    def came(self, _number: int, _frame: FrameType | None) -> None:
        """Handle one of them; only the first ends the demonstration."""
        if self._listening:
            self._listening = False
            raise Stopped


@contextmanager
def _stoppable() -> Iterator[_Signals]:
    signals = _Signals()
    if threading.current_thread() is not threading.main_thread():
        yield signals
        return
    before = {number: signal.signal(number, signals.came) for number in _Signals.NUMBERS}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _show_logs(daemons: Daemons) -> None:
    for daemon in daemons.running:
        end = daemon.log.read_text(errors="replace").splitlines()[-15:]
        print(f"--- {daemon.name}'s log ends with", *end, sep="\n", file=sys.stderr)


def _show(daemons: Daemons, *, once: bool, output: Format) -> int:
    source, target = ends_of(daemons.topology)
    for_people = output is Format.TABLE
    title = f"{daemons.topology.title}: {source} to {target}"
    live = for_people and sys.stdout.isatty()
    with Screen(title, live=live, to=None if for_people else sys.stderr) as screen:
        with screen.step("certificates of a lab CA"):
            daemons.issue_certificates()
        with screen.step("controller") as step:
            daemons.start_controller()
            step.note(daemons.addresses["northbound"])
        with screen.step(f"{len(daemons.topology.nodes)} node agents") as step:
            daemons.start_fleet()
            step.note("simulated QKD modules")
        # The fleet serves the lab under the certificate of one of its nodes.
        lab = daemons.fleet["lab"]
        lab_peer = parse_identity(lab["identity"])
        northbound = daemons.addresses["northbound"]
        with Network(daemons.pki, OPERATOR, northbound, lab["address"], lab_peer, within_s=daemons.within_s) as network:
            outcome = _main_job(daemons, network, screen, source, target)
    if not once:
        _stay(daemons, source, target, to=None if for_people else sys.stderr)
    sys.stdout.write(json.dumps(outcome) + "\n" if for_people else as_text(outcome, output))
    sys.stdout.flush()
    return 0 if outcome["relays_active"] == 1 and outcome["keys_equal"] else 1


def ends_of(topology: TopologyFile) -> tuple[str, str]:
    """Return the ends to relay between: the suggested ones, else two nodes as far apart as there are.

    >>> from types import SimpleNamespace as Made
    >>> def link(a, b): return Made(nodes=(a, b))
    >>> ends_of(Made(suggested_ends=None, links=[link("a", "b"), link("b", "c")], nodes=[Made(name=n) for n in "abc"]))
    ('a', 'c')
    """
    if topology.suggested_ends is not None:
        return topology.suggested_ends
    neighbours: dict[str, set[str]] = {node.name: set() for node in topology.nodes}
    for link in topology.links:
        for node, other in (link.nodes, link.nodes[::-1]):
            neighbours[node].add(other)
    best = (0, "", "")
    for start in sorted(neighbours):
        distance = {start: 0}
        ring = [start]
        while ring:
            ring = sorted({far for node in ring for far in neighbours[node]} - distance.keys())
            distance |= {node: 1 + max(distance.values()) for node in ring}
        farthest = min(distance, key=lambda node: (-distance[node], node))
        if distance[farthest] > best[0]:
            best = (distance[farthest], start, farthest)
    return best[1], best[2]


def _main_job(daemons: Daemons, network: Network, screen: Screen, source: str, target: str) -> dict[str, Any]:
    with screen.step("sessions of all agents"):
        everybody = len(daemons.topology.nodes)
        wait_for(lambda: network.connected() == everybody, network.within_s, f"{everybody} agents to connect")
    with screen.step("key relay") as step:
        network.register((MASTER, source), (SLAVE, target))
        network.create(source, target, _rate(network, source, target))
        relay, _ = network.follow(
            lambda seen: seen.state == State.STATE_ACTIVE, network.within_s, "the relay to become ACTIVE"
        )
        links = [hop.link.removeprefix("links/") for hop in relay.routes[0].hops]
        step.note("over " + ", ".join(links))
    nodes = daemons.fleet["nodes"]
    alice = KeyClient(daemons.pki, MASTER, nodes[source]["delivery"])
    bob = KeyClient(daemons.pki, SLAVE, nodes[target]["delivery"])
    with screen.step(f"{KEYS} keys at both ends over GS QKD 014") as step:
        equal = _fetch_and_compare(alice, bob, KEYS)
        step.note("equal" if equal else "NOT EQUAL")
    with screen.step("two disjoint shares") as step:
        step.note(_two_shares(network, source, target))
    cut, detour = _link_to_cut(network, source, target, links)
    with screen.step(f"cut of {cut}") as step:
        after_cut, restore_s = _cut(network, cut, relay.route_version, detour=detour)
        step.note(after_cut + (f" in {restore_s:.2f} s" if restore_s is not None else ""))
    with screen.step("a key of the time after the cut") as step:
        equal = _use_up(network, alice, bob) and equal
        step.note("equal" if equal else "NOT EQUAL")
    if after_cut == "rode_on_store":
        with screen.step(f"repair of {cut}"):
            network.repair(cut)
            network.follow(lambda seen: not seen.riding_on_store, network.within_s, "word of the repair")
    # Its stock was just used up on purpose: it may be DEGRADED until the first key of the refill.
    network.follow(lambda seen: seen.state == State.STATE_ACTIVE, network.within_s, "the relay to be ACTIVE in the end")
    return {"relays_active": 1, "keys_equal": equal, "after_cut": after_cut, "restore_s": restore_s}


def _rate(network: Network, source: str, target: str) -> float:
    """Return the largest of a few sensible rates that fits."""
    rate = _RATE_BIT_PER_S
    while rate > _LOWEST_RATE_BIT_PER_S:
        try:
            network.routes(source, target, rate)
        except grpc.RpcError as refused:
            if refused.code() is not grpc.StatusCode.FAILED_PRECONDITION:
                raise
            rate /= 4
        else:
            break
    return rate


def _fetch_and_compare(alice: KeyClient, bob: KeyClient, number: int) -> bool:
    keys = alice.get_keys(SLAVE, number, KEY_BIT)
    return len(keys) == number and bob.get_keys_with_ids(MASTER, [key.key_id for key in keys]) == keys


def _use_up(network: Network, alice: KeyClient, bob: KeyClient) -> bool:
    """Fetch keys until the stock of the time before the cut is used up, and one more. Oldest key is given first."""
    left_bit = max((end.stock_bit for end in network.relay().ends), default=0)
    most = int(alice.status(SLAVE)["max_key_per_request"])
    equal = True
    while left_bit >= 0 and equal:
        number = max(1, min(most, left_bit // KEY_BIT))
        try:
            equal = _fetch_and_compare(alice, bob, number)
        except Precondition as refused:
            if refused.reason != "HTTP_503":
                raise
            # The stock is at its end, and key comes at the promised rate.
            wait_for(lambda: alice.status(SLAVE)["stored_key_count"] > 0, network.within_s, "more key")
            continue
        left_bit -= number * KEY_BIT
        if left_bit < KEY_BIT:
            break
    return equal and _fetch_one_more(alice, bob, network.within_s)


def _fetch_one_more(alice: KeyClient, bob: KeyClient, within_s: float) -> bool:
    wait_for(lambda: alice.status(SLAVE)["stored_key_count"] > 0, within_s, "more key")
    return _fetch_and_compare(alice, bob, 1)


def _two_shares(network: Network, source: str, target: str) -> str:
    """Return what the controller says to two disjoint shares."""
    try:
        network.routes(source, target, _LOWEST_RATE_BIT_PER_S, shares=2)
    except grpc.RpcError as refused:
        if refused.code() is not grpc.StatusCode.FAILED_PRECONDITION:
            raise
        return f"refused: {refused.details()}"
    return "two disjoint routes exist"


def _link_to_cut(network: Network, source: str, target: str, links: list[str]) -> tuple[str, bool]:
    """Return a link of the route, from the far end, that has a detour, and True; else the last link and False."""
    for link in reversed(links):
        try:
            network.routes(source, target, _LOWEST_RATE_BIT_PER_S, avoid=f"links/{link}")
        except grpc.RpcError as refused:
            if refused.code() is not grpc.StatusCode.FAILED_PRECONDITION:
                raise
        else:
            return link, True
    return links[-1], False


def _cut(network: Network, link: str, version: int, *, detour: bool) -> tuple[str, float | None]:
    """Cut a link and see what becomes of the relay.

    Returns:
        "rerouted" and the seconds from the order to the first key confirmed on the new route; or, where the graph has
        no detour, "rode_on_store" or "blocked_and_back".
    """
    ordered = network.cut(link)
    if detour:
        _, told = network.follow(
            lambda seen: seen.state == State.STATE_ACTIVE and seen.route_version > version,
            network.within_s,
            "the new route",
        )
        return "rerouted", round(told - ordered, 3)
    relay, _ = network.follow(
        lambda seen: seen.riding_on_store or seen.state == State.STATE_BLOCKED, network.within_s, "word of the cut"
    )
    if relay.riding_on_store:
        return "rode_on_store", None  # the fibre stays cut until a key was fetched that was made without it
    network.repair(link)
    _, told = network.follow(lambda seen: seen.state == State.STATE_ACTIVE, network.within_s, "the relay to come back")
    return "blocked_and_back", round(told - ordered, 3)


def _stay(daemons: Daemons, source: str, target: str, *, to: TextIO | None) -> None:
    """Print what to try, and stay until a signal comes."""
    northbound = daemons.addresses["northbound"]
    print(
        f"\nThe network stays up until Ctrl-C. Logs, certificates and stores are in {daemons.directory}.\n"
        f"  northbound gRPC  {northbound}\n"
        f"  metrics          {daemons.addresses['metrics']}\n"
        f"  GS QKD 014       {source}: https://{daemons.fleet['nodes'][source]['delivery']}, "
        f"{target}: https://{daemons.fleet['nodes'][target]['delivery']}\n"
        "In another terminal, with .venv/bin on the PATH:\n"
        f"  export QINET_CONTROLLER={northbound} QINET_PKI={shlex.quote(str(daemons.pki))}\n"
        "  qinetctl get links\n"
        f"  qinetctl relay show {RELAY}\n"
        f"  qinetctl route {source} {target} --rate 100\n"
        "  qinetctl watch relays\n"
        f"  qinet-agent fault cut LINK --state {shlex.quote(str(daemons.directory / 'fleet'))}",
        file=to,
    )
    never = threading.Event()
    while True:
        never.wait(1.0)
        daemons.check()
