"""The container file: its instructions are known, what it copies exists, what it runs is ours, and not as root."""

import fnmatch
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer

from controller.__main__ import app as controller_app
from controller.config.controller_file import load_controller_config
from tests.support.pages import ROOT

FOLDER = ROOT / "deploy" / "container"
KNOWN = frozenset(
    {
        "FROM",
        "ENV",
        "RUN",
        "WORKDIR",
        "COPY",
        "USER",
        "VOLUME",
        "EXPOSE",
        "STOPSIGNAL",
        "HEALTHCHECK",
        "ENTRYPOINT",
        "CMD",
    }
)


@dataclass(frozen=True)
class Instruction:
    word: str
    rest: str
    stage: int


def instructions() -> list[Instruction]:
    text = re.sub(r"^\s*#.*\n", "", (FOLDER / "Containerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    found: list[Instruction] = []
    stage = -1
    for line in filter(str.strip, text.splitlines()):
        word, _, rest = line.strip().partition(" ")
        stage += word == "FROM"
        found.append(Instruction(word, rest.strip(), stage))
    return found


def of(word: str) -> list[Instruction]:
    return [each for each in instructions() if each.word == word]


def ignored(path: str) -> bool:
    """Tell whether the builder is not sent a path: the last matching line decides."""
    out = False
    for line in (FOLDER / "Containerfile.dockerignore").read_text().splitlines():
        pattern = line.strip().removeprefix("!")
        if pattern and not pattern.startswith("#"):
            parents = [path, *(str(parent) for parent in Path(path).parents)]
            if any(fnmatch.fnmatchcase(each, pattern) for each in parents):
                out = not line.startswith("!")
    return out


def test_there_are_two_stages_of_one_plain_image_and_the_last_has_no_builder_in_it() -> None:
    bases = [each.rest.split()[0] for each in of("FROM")]
    assert len(bases) == 2
    assert len(set(bases)) == 1
    assert re.fullmatch(r"python:3\.\d+-slim", bases[0])
    assert {each.word for each in instructions()} <= KNOWN
    assert not [each for each in of("RUN") if each.stage == 1 and "pip" in each.rest]


def test_what_is_copied_exists_and_is_sent_to_the_builder() -> None:
    sources = [source for each in of("COPY") if not each.rest.startswith("--from") for source in each.rest.split()[:-1]]
    assert {"controller", "southbound", "apps", "proto/gen"} <= set(sources)
    for source in sources:
        assert (ROOT / source).exists(), source
        assert not ignored(source), source
    for secret in ("pki/ca.key", "controller.db", ".git/config", "tests/conftest.py", "deploy/container/x.key"):
        assert ignored(secret), secret


def test_everything_that_setup_names_is_copied() -> None:
    copied = {source for each in of("COPY") for source in each.rest.split()}
    named = re.findall(r"\"(controller|southbound|apps)\*\"", (ROOT / "setup.py").read_text())
    assert len(named) == 3
    assert {*named, "proto/gen", "README.md", "LICENSE", "setup.cfg", "setup.py"} <= copied


def test_it_does_not_run_as_root() -> None:
    (user,) = of("USER")
    assert user.stage == 1
    assert int(user.rest) > 999
    assert instructions().index(user) < instructions().index(of("ENTRYPOINT")[0])


@pytest.mark.parametrize("which", ["start", "health"])
def test_what_it_runs_is_a_command_that_its_program_takes(which: str) -> None:
    if which == "start":
        words = json.loads(of("ENTRYPOINT")[0].rest) + json.loads(of("CMD")[0].rest)
    else:
        words = json.loads(re.search(r"CMD\s+(\[.*\])", of("HEALTHCHECK")[0].rest)[1])  # type: ignore[index]
    program, verb, *arguments = words
    assert program == "qinet-controller"
    group: Any = typer.main.get_command(controller_app)
    group.commands[verb].make_context(verb, list(arguments))
    assert arguments[-1] == of("COPY")[-1].rest.split()[-1]


def test_it_exposes_the_ports_of_its_configuration_and_keeps_the_store_on_its_volume() -> None:
    config = load_controller_config(FOLDER / "controller.yaml")
    assert config.metrics is not None
    ports = {config.northbound[1], config.southbound.listen[1], config.metrics.listen[1]}
    assert {int(port) for port in of("EXPOSE")[0].rest.split()} == ports
    (volume,) = json.loads(of("VOLUME")[0].rest)
    assert str(config.store.path).startswith(volume)
