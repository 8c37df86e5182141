"""`qinetctl demo`: the main job on a real network, from certificates to what survives a cut fibre.

Which story is told follows from the topology: of keys, or, where there are entanglement links, of pairs.
"""

import json
import shlex
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final, TextIO

import grpc

from controller.cli.demo_network import Network
from controller.cli.demo_pairs import PairStory
from controller.cli.demo_processes import OPERATOR, Daemons, wait_for
from controller.cli.demo_relay import RelayStory
from controller.cli.demo_screen import Screen, Stopped
from controller.cli.output import Format, as_text
from controller.config.topology_file import TopologyFile, load_topology
from controller.domain.link import LinkKind
from controller.domain.refusals import Precondition, Refusal
from controller.identity.peers import parse_identity

DEFAULT_TOPOLOGY: Final = "tokyo-2010"
Story = RelayStory | PairStory


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
    story = story_of(daemons.topology)
    for_people = output is Format.TABLE
    title = f"{daemons.topology.title}: {story.source} to {story.target}"
    live = for_people and sys.stdout.isatty()
    with Screen(title, live=live, to=None if for_people else sys.stderr) as screen:
        with screen.step("certificates of a lab CA"):
            daemons.issue_certificates()
        with screen.step("controller") as step:
            daemons.start_controller()
            step.note(daemons.addresses["northbound"])
        with screen.step(f"{len(daemons.topology.nodes)} node agents") as step:
            daemons.start_fleet()
            step.note(_simulated(daemons.topology))
        # The fleet serves the lab under the certificate of one of its nodes.
        lab = daemons.fleet["lab"]
        lab_peer = parse_identity(lab["identity"])
        northbound = daemons.addresses["northbound"]
        with Network(daemons.pki, OPERATOR, northbound, lab["address"], lab_peer, within_s=daemons.within_s) as network:
            with screen.step("sessions of all agents"):
                everybody = len(daemons.topology.nodes)
                wait_for(lambda: network.connected() == everybody, network.within_s, f"{everybody} agents to connect")
            outcome = story.tell(daemons, network, screen)
    if not once:
        _stay(daemons, story, to=None if for_people else sys.stderr)
    sys.stdout.write(json.dumps(outcome) + "\n" if for_people else as_text(outcome, output))
    sys.stdout.flush()
    return 0 if story.held(outcome) else 1


def story_of(topology: TopologyFile) -> Story:
    """Return what is worth showing of a network: pairs where it makes some, else key."""
    if any(link.pairs is not None for link in topology.links):
        return PairStory(topology, *pair_ends_of(topology))
    return RelayStory(*ends_of(topology))


def _simulated(topology: TopologyFile) -> str:
    kinds = {link.kind for link in topology.links}
    words = [word for kind, word in _SIMULATED.items() if kind in kinds]
    return "simulated " + " and ".join(words)


_SIMULATED: Final = {LinkKind.QKD: "QKD modules", LinkKind.ENTANGLEMENT: "pairs"}


def ends_of(topology: TopologyFile) -> tuple[str, str]:
    """Return the ends to relay between: the suggested ones, else two nodes as far apart as there are.

    >>> from types import SimpleNamespace as Made
    >>> def link(a, b): return Made(nodes=(a, b))
    >>> ends_of(Made(suggested_ends=None, links=[link("a", "b"), link("b", "c")], nodes=[Made(name=n) for n in "abc"]))
    ('a', 'c')
    """
    if topology.suggested_ends is not None:
        return topology.suggested_ends
    nodes = sorted(node.name for node in topology.nodes)
    return _farthest(nodes, [link.nodes for link in topology.links], nodes)


def pair_ends_of(topology: TopologyFile) -> tuple[str, str]:
    """Return where to deliver pairs: at the suggested ends if pairs end there, else at end nodes far apart.

    >>> from types import SimpleNamespace as Made
    >>> def link(a, b): return Made(nodes=(a, b), pairs=object())
    >>> def node(name, end): return Made(name=name, pairs=Made(end_node=end))
    >>> nodes = [node("a", None), node("b", "memory"), node("c", None), node("d", "computer")]
    >>> links = [link("a", "b"), link("b", "c"), link("c", "d")]
    >>> pair_ends_of(Made(suggested_ends=("a", "d"), links=links, nodes=nodes))
    ('b', 'd')
    """
    paired = sorted(node.name for node in topology.nodes if node.pairs is not None)
    ends = [node.name for node in topology.nodes if node.pairs is not None and node.pairs.end_node is not None]
    suggested = topology.suggested_ends
    if suggested is not None and set(suggested) <= set(ends or paired):
        return suggested
    links = [link.nodes for link in topology.links if link.pairs is not None]
    return _farthest(sorted(ends) if len(ends) > 1 else paired, links, paired)


def _farthest(ends: Sequence[str], links: Sequence[tuple[str, str]], nodes: Sequence[str]) -> tuple[str, str]:
    """Return two of the ends with the most links between them, of several the first by name."""
    neighbours: dict[str, set[str]] = {node: set() for node in nodes}
    for one, other in links:
        neighbours[one].add(other)
        neighbours[other].add(one)
    best = (0, "", "")
    for start in ends:
        distance = {start: 0}
        ring = [start]
        while ring:
            ring = sorted({far for node in ring for far in neighbours[node]} - distance.keys())
            distance |= {node: 1 + max(distance.values()) for node in ring}
        farthest = min(distance.keys() & set(ends), key=lambda node: (-distance[node], node))
        if distance[farthest] > best[0]:
            best = (distance[farthest], start, farthest)
    return best[1], best[2]


def _stay(daemons: Daemons, story: Story, *, to: TextIO | None) -> None:
    """Print what to try, and stay until a signal comes."""
    northbound, nodes = daemons.addresses["northbound"], daemons.fleet["nodes"]
    delivery = ", ".join(f"{end}: https://{nodes[end]['delivery']}" for end in (story.source, story.target))
    to_try = [
        f"export QINET_CONTROLLER={northbound} QINET_PKI={shlex.quote(str(daemons.pki))}",
        "qinetctl get links",
        *story.to_try(),
        f"qinet-agent fault cut LINK --state {shlex.quote(str(daemons.directory / 'fleet'))}",
    ]
    print(
        f"\nThe network stays up until Ctrl-C. Logs, certificates and stores are in {daemons.directory}.",
        f"  northbound gRPC  {northbound}",
        f"  metrics          {daemons.addresses['metrics']}",
        f"  GS QKD 014       {delivery}",
        "In another terminal, with .venv/bin on the PATH:",
        *(f"  {line}" for line in to_try),
        sep="\n",
        file=to,
    )
    never = threading.Event()
    while True:
        never.wait(1.0)
        daemons.check()
