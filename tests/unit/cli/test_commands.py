"""What qinetctl does without a controller: help, certificates, topology files, mistakes on the command line."""

import contextlib
import json
import os
import pty
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest
import yaml

from controller.cli.exits import CODES_HELP, Exit
from tests.support.command_line import Run

TOPOLOGIES = Path(__file__).parents[3] / "topologies"
ENGINE = (
    "networkx",
    "numba",
    "scipy",
    "controller.routing",
    "controller.planning",
    "controller.service",
    "controller.store",
    "controller.northbound",
    "controller.bootstrap",
    "southbound",
)


def loaded(*arguments: str) -> set[str]:
    """Return which modules a fresh process has loaded after running qinetctl."""
    program = (
        "import sys; from controller.cli.main import main; "
        f"main({list(arguments)!r}); print(chr(10).join(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    return set(done.stderr.split())


@pytest.mark.parametrize(
    "arguments", [["--help"], ["relay", "create", "--help"], ["topology", "show", str(TOPOLOGIES / "line-3.yaml")]]
)
def test_no_engine_is_loaded(arguments: list[str]) -> None:
    modules = loaded(*arguments)
    assert not [name for name in modules if name in ENGINE or name.startswith(tuple(f"{each}." for each in ENGINE))]


def test_help_is_shown_without_loading_grpc_or_protobuf() -> None:
    assert not {"grpc", "google.protobuf", "cryptography", "controller.cli.demo"} & loaded("--help")


def test_help_names_every_exit_code(run: Run) -> None:
    ran = run("--help")
    assert ran.code == Exit.DONE
    told = " ".join(ran.out.replace("│", " ").split())
    assert " ".join(CODES_HELP.split()) in told
    assert all(f"{code.value} " in CODES_HELP for code in Exit)


def test_version_is_the_package_s(run: Run) -> None:
    assert run("--version").out == f"qinetctl {version('qinet-controller')}\n"


def test_the_shell_can_complete_commands() -> None:
    asked = {"_QINETCTL_COMPLETE": "complete_bash", "COMP_WORDS": "qinetctl to", "COMP_CWORD": "1"}
    done = subprocess.run(
        [sys.executable, "-c", "from controller.cli.main import main; main([])"],
        env={**os.environ, **asked},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout.split() == ["top", "topology"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("get", "nodes", "--nonsense"),
        ("get", "nodes", "-o", "xml"),
        ("relay", "create", "a"),
        ("relay", "create", "a", "b"),
        ("relay", "create", "a", "b", "--rate", "1", "--key-size", "256"),
        ("relay", "create", "a", "b", "--rate", "fast"),
        ("relay", "create", "a", "b", "--rate", "1", "--lifetime", "soon"),
        ("relay", "create", "a", "b", "--rate", "1", "--priority", "-1"),
        ("relay", "create", "a", "b", "--rate", "1", "--shares", "4294967296"),
        ("relay", "create", "a", "b", "--rate", "1", "--wait=NEVER"),
        ("relay", "create", "a", "b", "--rate", "1", "--wait", "--validate-only"),
        ("relay", "update", "a"),
        ("relay", "update", "a", "--rate", "1", "--clear", "rate"),
        ("relay", "update", "a", "--max-hops", "1", "--clear", "max-hops"),
        ("application", "update", "a"),
        ("node", "drain", "a", "--wait", "--dry-run"),
        ("node", "drain", "a", "--wait-timeout", "soon"),
        ("freeze",),
        ("what-if",),
        ("events", "--kind", "weather"),
        ("top", "--sort", "beauty"),
        ("get", "nodes", "--watch", "--interval", "0s"),
        ("get", "nodes", "a", "--filter", "name = a"),
        ("get", "nodes", "--timeout", "0"),
        ("get", "nodes", "--cert", "x.crt"),
        ("pki", "issue", "king/arthur"),
        ("pki", "issue", "node/Not-A-Label"),
        ("get", "nodes", "--as", "operator"),
        ("get", "nodes", "--controller", "nowhere"),
        ("get", "nodes", "--controller", "host:99999"),
        ("get", "nodes", "--controller-name", "Boss"),
    ],
)
def test_a_wrong_command_line_ends_with_2_and_says_why(run: Run, arguments: tuple[str, ...]) -> None:
    ran = run(*arguments)
    assert (ran.code, ran.out) == (Exit.USAGE, "")
    assert ran.err.strip()


def test_certificates_are_made_where_pki_says_and_only_once(run: Run, tmp_path: Path) -> None:
    assert run("pki", "init", "--pki", "lab").out == "lab/ca.crt\n"
    issued = run("--pki", "lab", "pki", "issue", "node/a", "sae/Alice_1", "--days", "3")
    assert issued.out == "lab/node/a.crt\nlab/sae/Alice_1.crt\n"
    assert (tmp_path / "lab" / "node" / "a.key").stat().st_mode & 0o077 == 0
    again = run("pki", "issue", "node/a", "--pki", "lab")
    assert again.code == Exit.FILE
    assert "`qinetctl pki issue node/a --renew`" in again.err
    assert run("pki", "issue", "node/a", "--renew", "--host", "192.0.2.7", "--pki", "lab").code == Exit.DONE
    second = run("pki", "init", "--pki", "lab")
    assert (second.code, "--overwrite" in second.err) == (Exit.FILE, True)
    assert run("pki", "init", "--overwrite", "--pki", "lab").code == Exit.DONE


def test_programs_are_told_identities_certificates_and_keys(run: Run) -> None:
    assert json.loads(run("pki", "init", "-o", "json").out) == {"certificate": "pki/ca.crt", "key": "pki/ca.key"}
    issued = run("pki", "issue", "node/a", "user/b", "-o", "yaml")
    assert yaml.safe_load(issued.out) == [
        {"identity": f"{kind}/{name}", "certificate": f"pki/{kind}/{name}.crt", "key": f"pki/{kind}/{name}.key"}
        for kind, name in (("node", "a"), ("user", "b"))
    ]


def test_help_before_a_command_is_of_all_commands(run: Run) -> None:
    assert "what-if" in run("--help", "get", "nodes").out
    assert run("gett", "nodes").code == Exit.USAGE


def test_without_a_ca_the_first_step_is_named(run: Run) -> None:
    ran = run("pki", "issue", "node/a")
    assert (ran.code, "`qinetctl pki init`" in ran.err) == (Exit.FILE, True)


def test_without_certificates_the_missing_file_and_the_remedy_are_named(run: Run) -> None:
    ran = run("get", "nodes")
    assert ran.code == Exit.FILE
    assert "pki/ca.crt" in ran.err
    assert "`qinetctl pki init`" in ran.err


def test_a_certificate_of_somebody_else_is_not_used(run: Run, tmp_path: Path) -> None:
    run("pki", "init")
    run("pki", "issue", "user/alice")
    for suffix in ("crt", "key"):
        (tmp_path / "pki" / "user" / f"alice.{suffix}").rename(tmp_path / "pki" / "user" / f"operator.{suffix}")
    ran = run("get", "nodes")
    assert (ran.code, "is for user/alice, not for user/operator" in ran.err) == (Exit.FILE, True)


def test_nobody_listening_ends_with_4_and_says_where_to_look(run: Run) -> None:
    run("pki", "init")
    run("pki", "issue", "user/operator")
    ran = run("get", "nodes", "--controller", "127.0.0.1:1")
    assert ran.code == Exit.UNREACHABLE
    assert "127.0.0.1:1 is unreachable" in ran.err
    assert "--controller" in ran.err


@pytest.mark.parametrize("name", ["line-3", "tokyo-2010", "mesh-2-disjoint"])
def test_every_shipped_topology_checks_and_draws(run: Run, tmp_path: Path, name: str) -> None:
    file = TOPOLOGIES / f"{name}.yaml"
    checked = run("topology", "check", file, "-o", "json")
    assert checked.code == Exit.DONE
    counts = json.loads(checked.out)
    shown = run("topology", "show", file, "--svg", tmp_path / "map.svg", "-o", "yaml")
    network = yaml.safe_load(shown.out)
    assert (len(network["nodes"]), len(network["links"])) == (counts["nodes"], counts["links"])
    drawn = Xml.parse(tmp_path / "map.svg").getroot()
    assert len([one for one in drawn.iter() if one.get("class") == "link"]) == counts["links"]
    assert run("topology", "show", file, "--svg", "-").out == (tmp_path / "map.svg").read_text(encoding="utf-8")


def test_all_mistakes_of_a_file_are_told_at_once_with_their_places(run: Run, tmp_path: Path) -> None:
    broken = tmp_path / "lab.yaml"
    broken.write_text(
        "schema: qinet-topology\nversion: 1\nname: Lab\nnodes:\n  - name: a\n  - name: a\n    colour: red\n", "utf-8"
    )
    ran = run("topology", "check", broken)
    assert (ran.code, ran.out) == (Exit.FILE, "")
    lines = ran.err.splitlines()
    assert len(lines) >= 3
    assert all(line.startswith(f"{broken}:") for line in lines)
    assert [f"{broken}:{line}: " in ran.err for line in (3, 6, 7)] == [True, True, True]


def test_a_missing_file_and_a_place_that_cannot_be_written_end_with_5(run: Run) -> None:
    assert run("topology", "check", "nowhere.yaml").code == Exit.FILE
    ran = run("topology", "show", TOPOLOGIES / "line-3.yaml", "--svg", "nowhere/map.svg")
    assert (ran.code, "nowhere/map.svg: cannot be written" in ran.err) == (Exit.FILE, True)


def test_a_reader_that_has_had_enough_is_no_reason_for_a_traceback() -> None:
    program = [sys.executable, "-m", "controller.cli.main", "topology", "show", str(TOPOLOGIES / "tokyo-2010.yaml")]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""


def at_terminal(columns: int, *arguments: str) -> str:
    """Return what a person at a terminal of that width sees."""
    terminal, inside = pty.openpty()
    program = [sys.executable, "-m", "controller.cli.main", *arguments]
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(columns)}
    with subprocess.Popen(program, stdout=inside, stderr=subprocess.DEVNULL, env=environment) as process:
        os.close(inside)
        shown = b""
        with contextlib.suppress(OSError):  # how Linux ends a terminal whose other side is closed
            while part := os.read(terminal, 4096):
                shown += part
    os.close(terminal)
    assert process.returncode == Exit.DONE
    return shown.decode()


def test_a_person_at_a_terminal_gets_colours_and_the_same_words() -> None:
    shown = at_terminal(160, "topology", "show", str(TOPOLOGIES / "line-3.yaml"))
    assert "\x1b[" in shown
    assert "alice:1 - middle:1" in shown


def test_a_narrow_terminal_breaks_no_name() -> None:
    shown = at_terminal(80, "topology", "show", str(TOPOLOGIES / "tokyo-2010.yaml"))
    for name in ("koganei-otemachi-apd", "koganei-otemachi-sspd"):
        assert f"{name} " in shown


def test_an_interrupt_before_all_is_imported_ends_with_130_and_no_traceback() -> None:
    program = (
        "import sys\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'controller.cli.commands': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupting())\n"
        "from controller.cli.main import main\n"
        "sys.exit(main(['--help']))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (Exit.INTERRUPTED, "")


def test_a_fault_of_its_own_ends_with_1_and_no_traceback(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr("controller.config.topology_file.load_topology", broken)
    ran = run("topology", "check", "any.yaml")
    assert ran.code == Exit.FAULT
    assert "ZeroDivisionError" in ran.err
    assert "QINET_DEBUG=1" in ran.err
