"""qinetctl entangle, and what else shows pairs, against a real controller with agents that obey at once."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import pytest_asyncio

from controller.cli.exits import Exit
from controller.ports.observations import FidelityObservation, LinkObservation, PairLinkObservation
from qinet.northbound.v1 import entanglement_service_pb2 as pb
from qinet.northbound.v1.key_relay_pb2 import KeyRelay
from tests.integration.northbound.world import Client, Controller, Party
from tests.support.command_line import Ran, runner

Command = Callable[..., Coroutine[Any, Any, Ran]]


@pytest.fixture
def world(pair_world: Controller) -> Controller:
    """The controller that is asked: one of a network of pairs."""
    return pair_world


@pytest_asyncio.fixture
async def ctl(
    world: Controller, party: Party, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Command:
    """Run qinetctl as alice, in a thread: the controller is on this one."""
    files = party("user/alice").files
    for name in ("CONTROLLER", "PKI", "USER", "TIMEOUT", "DEBUG"):
        monkeypatch.delenv(f"QINET_{name}", raising=False)
    run = runner(
        capsys,
        *("--controller", f"127.0.0.1:{world.port}", "--controller-name", "c1", "--as", "user/alice"),
        *("--ca", str(files.ca), "--cert", str(files.certificate), "--key", str(files.key)),
    )

    async def command(*arguments: object) -> Ran:
        return await asyncio.to_thread(run, *arguments)

    return command


async def test_a_path_lives_on_the_command_line(ctl: Command, world: Controller) -> None:
    made = await ctl("entangle", "create", "a", "c", "--fidelity", 0.9, "--rate", 5, "--name", "lab")
    assert made.code == Exit.DONE, made.err
    for told in ("entanglementPaths/lab", "regime:", "buffered", "proven best", "Swaps:", "nodes/b/memories"):
        assert told in made.out
    await world.confirm_pairs("lab")

    shown = json.loads((await ctl("entangle", "show", "lab", "-o", "json")).out)
    assert (shown["state"], shown["plan"]["swaps"][0]["node"]) == ("STATE_ACTIVE", "b")
    (row,) = [line for line in (await ctl("get", "paths")).out.splitlines() if line.startswith("lab")]
    assert "5 Hz" in row
    assert "a -[ab]- b -[bc]- c" in row

    changed = await ctl("entangle", "update", "lab", "--avoid-node", "b", "--dry-run")
    assert "nothing was changed" in changed.err
    assert "links/ad" in changed.out
    assert (await ctl("entangle", "update", "lab", "--avoid-node", "b")).code == Exit.DONE
    assert (await ctl("entangle", "redeploy", "lab")).code == Exit.DONE
    history = await ctl("entangle", "history", "lab", "--limit", 2)
    assert "redeployed by user/alice" in history.out
    assert len(history.out.splitlines()) == 3

    past = await ctl("events", "--kind", "paths")
    assert "entanglementPaths/lab" in past.out
    assert "created" in past.out
    watched = await ctl("entangle", "watch", "--count", 1)
    assert watched.out.startswith("-   entanglementPaths/lab  ") or "entanglementPaths/lab" in watched.out

    gone = await ctl("entangle", "delete", "lab", "-o", "json")
    assert json.loads(gone.out)["entanglement_path"]["state"] == "STATE_REMOVING"


async def test_create_can_wait_and_tells_when_it_waited_in_vain(ctl: Command) -> None:
    late = await ctl(
        "entangle", "create", "a", "c", "--fidelity", 0.9, "--rate", 5, "--name", "p", "--wait", "--wait-timeout", "1ms"
    )
    assert late.code == Exit.NOT_YET
    assert "qinetctl entangle show p" in late.err
    waited = await ctl(
        "entangle", "create", "a", "c", "--fidelity", 0.9, "--rate", 1e6, "--accept-blocked", "--wait=blocked"
    )
    assert waited.code == Exit.DONE, waited.err


async def test_a_route_shows_plan_and_certificate_and_creates_nothing(ctl: Command, world: Controller) -> None:
    shown = await ctl("entangle", "route", "a", "c", "--fidelity", 0.9, "--rate", 5)
    assert "a -[ab]- b -[bc]- c" in shown.out
    assert "proven best" in shown.out
    told = json.loads((await ctl("entangle", "route", "a", "c", "--fidelity", 0.9, "-o", "json")).out)
    assert told["plan"]["objective"] == "rate_hz"
    assert not world.desk.published.snapshot.paths


@pytest.mark.parametrize(
    ("arguments", "reason", "advice"),
    [
        (["a", "c", "--fidelity", 1.0, "--rate", 5], "FIDELITY_UNREACHABLE", "--fidelity"),
        (["a", "c", "--fidelity", 0.9, "--rate", "1M"], "NO_CAPACITY", "--rate"),
        (["b", "f", "--fidelity", 0.9, "--rate", 5, "--avoid-node", "a"], "CANNOT_SWAP", "--avoid-node"),
        (["a", "g", "--fidelity", 0.9, "--rate", 5], "NO_MEMORIES", "memories"),
        (["a", "c", "--fidelity", 0.9, "--rate", 5, "--key-link", "k"], "NO_AUTHENTICATION_KEY", "pre-shared"),
        (["a", "c", "--fidelity", "nan", "--rate", 5], "INVALID_ARGUMENT", "correct what is named"),
        (["a", "c", "--fidelity", 0.9, "--rate", 0], "rate_hz", "correct what is named"),
    ],
)
async def test_a_refusal_tells_what_would_work(ctl: Command, arguments: list[Any], reason: str, advice: str) -> None:
    refused = await ctl("entangle", "create", *arguments)
    assert (refused.code, refused.out) == (Exit.REFUSED, "")
    assert reason in refused.err
    assert advice in refused.err.partition("\nnext: ")[2]


async def test_lists_show_what_makes_pairs_beside_what_makes_key(ctl: Command, world: Controller) -> None:
    known = FidelityObservation(fidelity=0.93, low=0.91, high=0.95, samples=400, age_ms=1500)
    world.observations.put(
        LinkObservation(
            node="a",
            link="ab",
            pairs=PairLinkObservation(rate_millihertz=99_000, pair_total=10, memory_pairs_in_use=2, fidelity=known),
        )
    )
    await ctl("entangle", "create", "a", "c", "--fidelity", 0.9, "--rate", 5)
    links = await ctl("get", "links")
    (row,) = [line for line in links.out.splitlines() if line.startswith("ab ")]
    assert "buffered" in row
    assert "99" in row
    assert "0.9300 [0.9100, 0.9500] (400 in " in row
    nodes = await ctl("get", "nodes", "e", "f")
    assert "MEMORIES" in nodes.out
    assert "2000 for 0.5 s" in nodes.out
    summary = await ctl("watch", "topology", "--count", 11)
    assert "links/ab  ACTIVE" in summary.out
    assert "Hz in use  99 Hz made" in summary.out
    top = await ctl("top", "--once", "--interval", "100ms", "--sort", "pairs")
    assert top.code == Exit.DONE
    assert top.out.splitlines()[2].startswith("ab ")
    svg = await ctl("topology", "show", "--svg", "-")
    assert "makes entangled pairs" in svg.out
    assert "buffered, 99 Hz" in svg.out


async def test_a_drain_waits_for_paths_too(ctl: Command, world: Controller, operator: Client) -> None:
    await ctl("entangle", "create", "a", "c", "--fidelity", 0.9, "--rate", 5, "--name", "lab")
    await world.confirm_pairs("lab")
    dry = await ctl("node", "drain", "b", "--dry-run")
    assert "entanglementPaths/lab  MOVES" in dry.out
    assert "SERVICE" in dry.out
    draining = asyncio.create_task(ctl("node", "drain", "b", "--wait", "--wait-timeout", "20s"))
    # The new route is settled once pairs were delivered on it, and the old one is empty.
    async for told in operator.entanglement.WatchEntanglementPaths(pb.WatchEntanglementPathsRequest()):
        moved = any(hop.link == "links/ad" for hop in told.entanglement_path.route.hops)
        if moved and told.entanglement_path.phase == KeyRelay.PHASE_DRAINING:
            break
    await world.confirm_pairs("lab")
    done = await draining
    assert done.code == Exit.DONE, done.err
    assert "1 of 1: entanglementPaths/lab has left" in done.err


async def test_a_relay_can_refuse_every_trusted_node_between(ctl: Command) -> None:
    refused = await ctl("relay", "create", "a", "c", "--rate", 1, "--no-trusted-transit", "--dry-run")
    assert refused.code == Exit.REFUSED
    assert "NO_ROUTE" in refused.err


async def test_a_shell_completes_the_names_of_paths(
    ctl: Command, world: Controller, party: Party, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ctl("entangle", "create", "a", "c", "--fidelity", 0.9, "--rate", 5, "--name", "lab")
    files = party("user/alice").files
    options = (
        f"--controller 127.0.0.1:{world.port} --controller-name c1 --as user/alice "
        f"--ca {files.ca} --cert {files.certificate} --key {files.key}"
    )
    for words, told in (("entangle show l", "lab"), ("get paths entanglementPaths/", "entanglementPaths/lab")):
        line = f"qinetctl {options} {words}"
        monkeypatch.setenv("_QINETCTL_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(line.split(" ")) - 1))
        ran = await ctl()
        monkeypatch.delenv("_QINETCTL_COMPLETE")
        assert (ran.out.split(), ran.err) == ([told], "")
