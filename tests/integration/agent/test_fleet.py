"""A fleet of a topology file in one process, its faults to order, and the command line for both."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import grpc
import grpc.aio
import pytest
from typer.testing import CliRunner

from controller.config.topology_file import TopologyFile, load_topology
from controller.domain.refusals import InvalidValue, NotFound
from controller.identity import lab_ca
from controller.identity.credentials import open_aio_channel
from controller.identity.peers import Identity, Kind, parse_identity
from controller.identity.tls_files import Tls, TlsRefused, files_in, load_tls
from qinet.lab.v1 import lab_pb2, lab_pb2_grpc
from southbound.agent.plan import SimulatedNetwork, agent_plan
from southbound.agent.uplink import ControllerAddress
from southbound.commands.exits import Exit
from southbound.commands.main import app
from southbound.fleet.fleet import Fleet, FleetPlan
from southbound.fleet.lab import LabServer

TOPOLOGY = Path(__file__).parents[3] / "topologies" / "line-3.yaml"
NOWHERE = ControllerAddress(name="controller", address="127.0.0.1:9")


@pytest.fixture(scope="module")
def topology() -> TopologyFile:
    return load_topology(TOPOLOGY)


@pytest.fixture
def pki(tmp_path: Path, topology: TopologyFile) -> Path:
    directory = tmp_path / "pki"
    now = datetime.now(UTC)
    lab_ca.init_ca(directory, now=now)
    for who in ("user/operator", "controller/controller", *(f"node/{node.name}" for node in topology.nodes)):
        lab_ca.issue(directory, parse_identity(who), now=now)
    return directory


def tls(pki: Path, who: str) -> Tls:
    return load_tls(files_in(pki, parse_identity(who)))


def plan(tmp_path: Path, pki: Path, *left_out: str) -> FleetPlan:
    return FleetPlan(
        network=SimulatedNetwork(TOPOLOGY),
        pki=pki,
        controllers=[NOWHERE],
        state_dir=tmp_path / "state",
        left_out=frozenset(left_out),
        history_s=10,
    )


@pytest.fixture
async def fleet(tmp_path: Path, pki: Path) -> AsyncIterator[Fleet]:
    fleet = Fleet(plan(tmp_path, pki))
    await fleet.start()
    yield fleet
    await fleet.stop()


@pytest.fixture
async def lab(fleet: Fleet, pki: Path) -> AsyncIterator[str]:
    server = LabServer(fleet, tls(pki, "node/alice"), ("127.0.0.1", 0))
    address = await server.bind()
    await server.serve()
    yield address
    await server.stop()


WITH_DAN = """
  - name: dan
    location: dan-site
    interfaces: [{number: 1, technology: DV-QKD}]
"""
TO_DAN = """
  - name: bob-dan
    ends: [{node: bob, interface: 2}, {node: dan, interface: 1}]
    skr_bit_per_s: {value: 10000, basis: assumed, source: example}
    qber: {value: 0.02, basis: assumed, source: example}
"""


def test_a_link_that_is_added_to_the_file_has_its_channel_without_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "net.yaml"
    text = TOPOLOGY.read_text()
    path.write_text(text)
    network = SimulatedNetwork(path)
    before = network.channel("bob-middle")
    assert network.channel("bob-dan") is None

    interface = "      - {number: 2, technology: DV-QKD}\n"
    nodes, links = text.split("\nlinks:\n")
    path.write_text(nodes.rstrip() + "\n" + interface + WITH_DAN + "\nlinks:\n" + links + TO_DAN)
    assert network.channel("bob-dan") is not None
    assert network.channel("bob-middle") is before
    assert network.node("dan").name == "dan"

    path.write_text("nonsense")
    assert network.channel("nope") is None
    assert network.channel("bob-dan") is not None


def stub(channel: grpc.aio.Channel) -> "lab_pb2_grpc.LabServiceAsyncStub":
    return lab_pb2_grpc.LabServiceStub(channel)


ALICE = Identity(Kind.NODE, "alice")


async def test_faults_are_ordered_told_and_ended(fleet: Fleet, lab: str, pki: Path) -> None:
    async with open_aio_channel(tls(pki, "user/operator"), lab, ALICE) as channel:
        order = stub(channel).OrderFault
        await order(lab_pb2.OrderFaultRequest(cut=lab_pb2.CutFault(link="alice-middle")))
        await order(lab_pb2.OrderFaultRequest(rate=lab_pb2.RateFault(link="bob-middle", factor=0.5)))
        await order(lab_pb2.OrderFaultRequest(qber=lab_pb2.QberFault(link="bob-middle", qber=0.2)))
        told = await stub(channel).GetFleet(lab_pb2.GetFleetRequest())
        links = {link.link: link for link in told.links}
        assert links["alice-middle"].cut
        assert (links["bob-middle"].rate_factor, links["bob-middle"].qber) == (0.5, 0.2)

        await order(lab_pb2.OrderFaultRequest(repair=lab_pb2.RepairFault(link="bob-middle")))
        told = await stub(channel).GetFleet(lab_pb2.GetFleetRequest())
        links = {link.link: link for link in told.links}
        assert links["bob-middle"].rate_factor == 1.0
        assert not links["bob-middle"].HasField("qber")


async def test_an_agent_crashes_and_restarts_by_order_from_its_store(fleet: Fleet, lab: str, pki: Path) -> None:
    before = fleet.agents["middle"]
    async with open_aio_channel(tls(pki, "user/operator"), lab, ALICE) as channel:
        order = stub(channel).OrderFault
        for _ in range(2):
            await order(lab_pb2.OrderFaultRequest(crash=lab_pb2.CrashFault(node="middle")))
        assert set(fleet.agents) == {"alice", "bob"}
        told = await stub(channel).GetFleet(lab_pb2.GetFleetRequest())
        assert [node.node for node in told.nodes if not node.running] == ["middle"]
        for _ in range(2):
            await order(lab_pb2.OrderFaultRequest(restart=lab_pb2.RestartFault(node="middle")))
    after = fleet.agents["middle"]
    assert after is not before
    assert after.hello().store_id == before.hello().store_id
    assert after.peer_address == before.peer_address


async def test_an_agent_lies_is_slow_and_loses_its_clock_by_order(fleet: Fleet, lab: str, pki: Path) -> None:
    def clock_alarms() -> list[str]:
        return [alarm.kind for alarm in fleet.agents["middle"].hello().alarms]

    begins = [
        lab_pb2.OrderFaultRequest(lie=lab_pb2.LieFault(node="middle", lies=True)),
        lab_pb2.OrderFaultRequest(slow=lab_pb2.SlowFault(node="middle", delay_ms=70)),
        lab_pb2.OrderFaultRequest(clock=lab_pb2.ClockFault(node="middle", lost=True)),
    ]
    ends = [
        lab_pb2.OrderFaultRequest(lie=lab_pb2.LieFault(node="middle")),
        lab_pb2.OrderFaultRequest(slow=lab_pb2.SlowFault(node="middle")),
        lab_pb2.OrderFaultRequest(clock=lab_pb2.ClockFault(node="middle")),
    ]
    hooks = fleet.plans["middle"].hooks
    assert hooks is not None
    async with open_aio_channel(tls(pki, "user/operator"), lab, ALICE) as channel:
        order = stub(channel).OrderFault
        assert [(await order(each)).changed for each in (*begins, *begins)] == [True] * 3 + [False] * 3
        assert clock_alarms() == ["CLOCK_LOST"]
        assert hooks.pass_on(b"ab") == b"`b"
        assert hooks.delay_s == 0.07
        await fleet.crash("middle")
        await fleet.restart("middle")
        assert clock_alarms() == ["CLOCK_LOST"]
        assert [(await order(each)).changed for each in ends] == [True] * 3
    assert clock_alarms() == []
    assert hooks.pass_on(b"ab") == b"ab"


def test_an_agent_that_is_run_alone_has_no_hook_of_a_laboratory(tmp_path: Path, pki: Path) -> None:
    network = SimulatedNetwork(TOPOLOGY)
    alone = agent_plan(network, "middle", pki=pki, controllers=[NOWHERE], state_dir=tmp_path / "state")
    assert alone.hooks is None


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (lab_pb2.OrderFaultRequest(lie=lab_pb2.LieFault(node="nope", lies=True)), grpc.StatusCode.NOT_FOUND),
        (
            lab_pb2.OrderFaultRequest(slow=lab_pb2.SlowFault(node="bob", delay_ms=60_001)),
            grpc.StatusCode.INVALID_ARGUMENT,
        ),
        (lab_pb2.OrderFaultRequest(clock=lab_pb2.ClockFault(node="nope", lost=True)), grpc.StatusCode.NOT_FOUND),
        (lab_pb2.OrderFaultRequest(cut=lab_pb2.CutFault(link="nope")), grpc.StatusCode.NOT_FOUND),
        (lab_pb2.OrderFaultRequest(crash=lab_pb2.CrashFault(node="nope")), grpc.StatusCode.NOT_FOUND),
        (lab_pb2.OrderFaultRequest(), grpc.StatusCode.INVALID_ARGUMENT),
        (
            lab_pb2.OrderFaultRequest(rate=lab_pb2.RateFault(link="bob-middle", factor=float("nan"))),
            grpc.StatusCode.INVALID_ARGUMENT,
        ),
        (
            lab_pb2.OrderFaultRequest(qber=lab_pb2.QberFault(link="bob-middle", qber=0.6)),
            grpc.StatusCode.INVALID_ARGUMENT,
        ),
    ],
    ids=["liar", "slow", "clock", "link", "node", "nothing", "factor", "qber"],
)
async def test_orders_that_cannot_be_are_refused(
    lab: str, pki: Path, fault: lab_pb2.OrderFaultRequest, code: grpc.StatusCode
) -> None:
    async with open_aio_channel(tls(pki, "user/operator"), lab, ALICE) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await stub(channel).OrderFault(fault)
    assert refusal.value.code() is code


async def test_only_users_order_faults(lab: str, pki: Path) -> None:
    async with open_aio_channel(tls(pki, "node/bob"), lab, ALICE) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await stub(channel).GetFleet(lab_pb2.GetFleetRequest())
    assert refusal.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_the_lab_listens_on_loopback_only(fleet: Fleet, pki: Path) -> None:
    with pytest.raises(InvalidValue, match="loopback"):
        LabServer(fleet, tls(pki, "node/alice"), ("0.0.0.0", 0))


async def test_a_fleet_without_a_certificate_or_with_an_unknown_node_does_not_start(tmp_path: Path, pki: Path) -> None:
    with pytest.raises(NotFound):
        Fleet(plan(tmp_path, pki, "nope"))
    (pki / "node" / "bob.crt").unlink()
    with pytest.raises(TlsRefused):
        Fleet(plan(tmp_path, pki))


async def test_two_fleets_in_one_directory_are_refused_and_the_first_goes_on(
    fleet: Fleet, tmp_path: Path, pki: Path
) -> None:
    second = Fleet(plan(tmp_path, pki))
    with pytest.raises(Exception, match="another agent has this state directory"):
        await second.start()
    assert not second.agents
    assert len(fleet.agents) == 3


def test_the_commands_run_a_fleet_and_one_node_of_it_apart(tmp_path: Path, pki: Path) -> None:
    common = ["--topology", str(TOPOLOGY), "--pki", str(pki), "--controller", "127.0.0.1:9", "--history-s", "10"]
    fleet = start("fleet", *common, "--state", str(tmp_path / "f"), "--lab-listen", "127.0.0.1:0", "--except", "bob")
    single = start("run", *common, "--state", str(tmp_path / "bob"), "--node", "bob")
    try:
        told = ready(fleet, tmp_path / "f" / "fleet.json")
        assert set(told["nodes"]) == {"alice", "middle"}
        assert set(ready(single, tmp_path / "bob" / "agent.json")) == {"node", "peer", "delivery"}

        def cli(*arguments: str) -> tuple[int, str]:
            result = CliRunner().invoke(app, list(arguments))
            return result.exit_code, result.output

        state = ("--state", str(tmp_path / "f"))
        assert cli("fault", "cut", "alice-middle", *state) == (Exit.DONE, "links/alice-middle: cut\n")
        already = "links/alice-middle: cut already, nothing changed\n"
        assert cli("fault", "cut", "alice-middle", *state) == (Exit.DONE, already)
        assert cli("fault", "repair", "alice-middle", *state) == (Exit.DONE, "links/alice-middle: as new\n")
        assert cli("fault", "restart", "alice", *state)[1] == "nodes/alice: agent runs already, nothing changed\n"
        code, output = cli("fault", "cut", "nope", *state)
        assert (code, output) == (
            Exit.REFUSED,
            "qinet-agent: links/nope does not exist; this fleet has alice-middle, bob-middle\n",
        )
        for kind, value, most in (("rate", "-1", "1"), ("rate", "nan", "1"), ("qber", "0.6", "0.5")):
            code, output = cli("fault", kind, "alice-middle", value, *state)
            assert (code, output) == (Exit.USAGE, f"qinet-agent: {kind} takes a value in 0..{most}, not {value}\n")
        assert cli("fault", "cut", "alice-middle", "--stat", "x")[0] == Exit.USAGE
        code, output = cli("fault", "crash", "bob", *state)
        assert code == Exit.REFUSED
        assert "alice, middle" in output
        assert cli("fault", "rate", "alice-middle", *state)[0] == Exit.USAGE
        assert cli("fault", "cut", "alice-middle", *state, "--user", "user/nobody")[0] == Exit.FILE
        assert cli("reset-election", "--state", str(tmp_path / "bob"))[0] == Exit.FILE
        told_by_fleet = (tmp_path / "f" / "fleet.json").read_text()
        other = start("fleet", *common, "--state", str(tmp_path / "f"))
        assert other.wait(20) == Exit.FILE
        assert b"another fleet has this state directory" in other.communicate()[1]
        assert (tmp_path / "f" / "fleet.json").read_text() == told_by_fleet
        second = start("run", *common, "--state", str(tmp_path / "bob"), "--node", "bob")
        assert second.wait(20) == Exit.FILE
        assert b"another agent has this state directory" in second.communicate()[1]
        fleet.send_signal(signal.SIGINT)
        assert fleet.wait(20) == Exit.DONE
        code, output = cli("fault", "cut", "alice-middle", *state)
        assert code == Exit.FILE
        assert "running fleet" in output
    finally:
        for process in (fleet, single):
            process.send_signal(signal.SIGTERM)
    assert single.wait(20) == Exit.DONE
    for process in (fleet, single):
        process.communicate()


def start(*arguments: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "southbound.commands.main", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=os.environ,
    )


def ready(process: "subprocess.Popen[bytes]", path: Path) -> dict[str, dict[str, object]]:
    async def there() -> None:
        async with asyncio.timeout(30):
            while not path.exists():
                assert process.poll() is None, process.communicate()[1].decode()
                await asyncio.sleep(0.02)

    asyncio.run(there())
    told: dict[str, dict[str, object]] = json.loads(path.read_text())
    return told


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (["--controller", "nowhere"], Exit.USAGE, "HOST:PORT"),
        (
            ["--controller", "127.0.0.1:9", "--node", "nope"],
            Exit.FILE,
            "nodes/nope does not exist; topology line-3 has",
        ),
        (["--controller", "127.0.0.1:9", "--pki", "/nonexistent"], Exit.FILE, "ca.crt"),
        (["--controller", "127.0.0.1:9", "--topology", "/nonexistent.yaml"], Exit.FILE, "nonexistent.yaml"),
        (["--controller", "127.0.0.1:9", "--listen-peer", "9"], Exit.USAGE, "HOST:PORT"),
        (
            ["--controller", "127.0.0.1:9", "--listen-peer", "192.0.2.1:0"],
            Exit.FILE,
            "192.0.2.1 is not an address of this",
        ),
        (
            ["--controller", "127.0.0.1:9", "--listen-delivery", "192.0.2.1:0"],
            Exit.FILE,
            "is not an address of this host",
        ),
    ],
)
def test_a_command_line_that_cannot_be_says_what_is_wrong(
    tmp_path: Path, pki: Path, arguments: list[str], code: Exit, word: str
) -> None:
    defaults = {"--node": "bob", "--topology": str(TOPOLOGY), "--pki": str(pki), "--state": str(tmp_path / "s")}
    given = set(arguments[::2])
    rest = [part for name, value in defaults.items() if name not in given for part in (name, value)]
    result = CliRunner().invoke(app, ["run", *arguments, *rest])
    assert result.exit_code == code
    assert word in result.output
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    ("listen", "code", "word"),
    [("0.0.0.0:0", Exit.USAGE, "--lab-listen"), ("127.0.0.1", Exit.USAGE, "--lab-listen")],
)
def test_a_fleet_whose_lab_cannot_listen_there_starts_no_agent(
    tmp_path: Path, pki: Path, listen: str, code: Exit, word: str
) -> None:
    common = ["--topology", str(TOPOLOGY), "--pki", str(pki), "--controller", "127.0.0.1:9"]
    result = CliRunner().invoke(app, ["fleet", *common, "--state", str(tmp_path / "f"), "--lab-listen", listen])
    assert (result.exit_code, word in result.output) == (code, True)
    assert not (tmp_path / "f").exists()
