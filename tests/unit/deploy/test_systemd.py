"""The systemd units: taken by systemd, hardened, and their commands are ours."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from controller.__main__ import app as controller_app
from southbound.commands.main import app as agent_app
from tests.support.pages import ROOT

SYSTEMD = ROOT / "deploy" / "systemd"
UNITS = ("qinet-controller.service", "qinet-agent@.service")
PROGRAMS: dict[str, Any] = {"qinet-controller": controller_app, "qinet-agent": agent_app}
INSTALLED = "/opt/qinet/bin"
WORST_EXPOSURE = 15  # tenths of what `systemd-analyze security` says; 92 is a unit without any hardening


def settings(unit: str) -> dict[str, list[str]]:
    """Return the values of every setting of a unit, sections aside, its continued lines joined."""
    text = (SYSTEMD / unit).read_text().replace("\\\n", " ")
    found: dict[str, list[str]] = {}
    for key, value in re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE):
        found.setdefault(key, []).append(value)
    return found


def environment(unit: str) -> dict[str, str]:
    pairs = (pair.partition("=") for line in settings(unit).get("Environment", []) for pair in shlex.split(line))
    return {name: value for name, _, value in pairs}


def expanded(unit: str, line: str) -> list[str]:
    """Return the words of a command as systemd makes them: `${X}` stays one word, `$X` becomes as many as it has."""
    known = environment(unit)
    words: list[str] = []
    for word in shlex.split(line.replace("%i", "alice")):
        if bare := re.fullmatch(r"\$(\w+)", word):
            words += known[bare[1]].split()
        else:
            words.append(re.sub(r"\$\{(\w+)\}", lambda name: known[name[1]], word).replace("%i", "alice"))
    return words


def commands() -> Iterator[tuple[str, str]]:
    for unit in UNITS:
        for key in ("ExecStartPre", "ExecStart"):
            for line in settings(unit).get(key, []):
                yield unit, line


@pytest.mark.parametrize(("unit", "line"), list(commands()))
def test_a_command_of_a_unit_is_one_that_its_program_takes(unit: str, line: str) -> None:
    program, verb, *arguments = expanded(unit, line)
    folder, _, name = program.rpartition("/")
    assert folder == INSTALLED
    command: Any = typer.main.get_command(PROGRAMS[name])
    chosen = command.commands[verb]
    chosen.make_context(verb, list(arguments))  # parses, runs nothing


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_reloads_stops_and_is_watched_as_our_daemons_can(unit: str) -> None:
    told = settings(unit)
    assert told["Type"] == ["notify"]
    assert told["ExecReload"] == ["/bin/kill -HUP $MAINPID"]
    assert told["Restart"] == ["on-failure"]
    assert int(told["WatchdogSec"][0]) >= 30
    assert int(told["TimeoutStopSec"][0]) > 5 + 2  # what the controller gives calls and agents
    assert told["User"][0] in (SYSTEMD / "qinet.sysusers.conf").read_text()
    # What is written must be in the state directory: all else is read-only.
    assert told["ProtectSystem"] == ["strict"]
    assert told["WorkingDirectory"][0].removeprefix("/var/lib/") == told["StateDirectory"][0].split()[0]


def test_the_first_configuration_writes_into_the_state_directory() -> None:
    assert "path: /var/lib/qinet-controller/controller.db" in (SYSTEMD / "controller.yaml").read_text()


def analyse(*arguments: str | Path) -> str:
    ran = subprocess.run(
        ["systemd-analyze", *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, Path]:
    """The units, as if our programs were installed where they say."""
    made = {}
    for unit in UNITS:
        text = (SYSTEMD / unit).read_text().replace(INSTALLED, str(Path(sys.executable).parent))
        made[unit] = tmp_path / unit.replace("@", "@alice")
        made[unit].write_text(text)
    return made


@pytest.mark.needs("systemd-analyze")
@pytest.mark.parametrize("unit", UNITS)
def test_systemd_takes_a_unit_and_finds_little_that_it_could_do_to_its_host(
    installed: dict[str, Path], unit: str
) -> None:
    assert analyse("verify", "--man=no", installed[unit]) == ""
    analyse("security", "--no-pager", "--offline=true", f"--threshold={WORST_EXPOSURE}", installed[unit])
