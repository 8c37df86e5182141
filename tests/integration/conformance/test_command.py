"""`qinet-agent conformance`, as its page tells to run it: real processes, a real kill."""

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest
from typer.testing import CliRunner

from controller.domain.refusals import InvalidValue
from southbound.commands.conformance import restarter
from southbound.commands.exits import Exit
from southbound.commands.main import app
from southbound.conformance.output import as_junit, row, summary
from southbound.conformance.run import CHECKS
from southbound.conformance.verdict import Status, Verdict
from tests.support.pages import ROOT, blocks

PAGE = (ROOT / "docs" / "writing-an-agent.md").read_text()
RESULTS = [
    Verdict(check=CHECKS[0], status=Status.PASS, observed="well", took_s=0.1),
    Verdict(check=CHECKS[1], status=Status.FAIL, observed="<bad> & worse", took_s=0.2),
    Verdict(check=CHECKS[2], status=Status.SKIP, observed="not here", took_s=0.0),
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_example_of_the_page_runs_and_passes(tmp_path: Path) -> None:
    (script,) = [content for _, content in blocks(PAGE, "sh") if "qinet-agent conformance" in content]
    # The whole suite is what the test beside this one runs; here the agent is a process, and killed as one.
    only = "--only hello.first --only update.durable -o json"
    script = script.replace("qinet-agent conformance ", f"qinet-agent conformance {only} ")
    script = script.replace("127.0.0.1:7411", f"127.0.0.1:{free_port()}")
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "TOPOLOGIES": str(ROOT / "topologies"),
    }
    try:
        done = subprocess.run(
            ["sh", "-e", "-c", script],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
    finally:
        with suppress(OSError, ValueError):
            os.kill(int((tmp_path / "agent.pid").read_text()), signal.SIGKILL)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout[done.stdout.index("{\n") :])
    assert (told["failed"], told["skipped"]) == (0, 0)
    assert {"update.durable", "hello.first"} == {one["id"] for one in told["checks"]}
    assert "waiting at 127.0.0.1:" in done.stderr


def test_all_checks_are_listed_with_what_they_demand() -> None:
    result = CliRunner().invoke(app, ["conformance", "--list"])
    assert result.exit_code == Exit.DONE
    assert len(result.output.splitlines()) == len(CHECKS)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "'' is not HOST:PORT"),
        (["--listen", "127.0.0.1:0", "--only", "nonsense"], "'nonsense' is no check; there are hello.first"),
        (["--listen", "127.0.0.1:0", "--key", "k.pem"], "goes with --key and --ca"),
        (["--listen", "127.0.0.1:0"], "qinetctl pki init"),
    ],
)
def test_a_command_line_that_cannot_be_says_what_is_wrong(arguments: list[str], said: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["conformance", "--pki", str(tmp_path), *arguments])
    assert result.exit_code in (Exit.USAGE, Exit.FILE)
    assert said in result.output


def test_the_table_tells_what_a_failed_check_demanded_and_what_helps() -> None:
    assert row(RESULTS[0]) == "PASS  hello.first             well"
    assert f"demanded: {CHECKS[1].demand} ({CHECKS[1].section})" in row(RESULTS[1])
    assert f"remedy: {CHECKS[1].remedy}" in row(RESULTS[1])
    assert summary(RESULTS) == "1 passed, 1 failed, 1 skipped"


def test_junit_names_failures_and_what_was_left_out() -> None:
    suite = Xml.fromstring(as_junit(RESULTS))
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("3", "1", "1")
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert failure.get("message") == "<bad> & worse"
    assert len(suite.findall("testcase/skipped")) == 1


async def test_a_restart_command_that_stays_or_fails_is_a_mistake_of_the_command_line(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match=r"has not ended within 0\.2 s: have it leave the agent behind"):
        await restarter(f"echo $$ > {tmp_path}/pid; exec sleep 600", within_s=0.2)()
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
    with pytest.raises(InvalidValue, match="exited with 7"):
        await restarter("exit 7")()
