"""docs/qinetctl.md shows commands and options that exist, and leaves no command out."""

import re
import shlex
from pathlib import Path

import pytest

from controller.cli.arguments import GLOBAL_OPTIONS
from tests.support.command_line import Run

PAGE = (Path(__file__).parents[3] / "docs" / "qinetctl.md").read_text("utf-8")
EXAMPLES = [
    line.partition(" > ")[0]
    for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("qinetctl ")
]
SINGLE = {"route", "demo", "what-if", "freeze", "unfreeze", "status", "events", "top"}


def command_of(example: str) -> tuple[str, ...]:
    words = shlex.split(example)[1:]
    return tuple(words[:1] if words[0] in SINGLE else words[:2])


@pytest.fixture
def run_wide(run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run with help that wraps no option."""
    monkeypatch.setenv("COLUMNS", "240")
    monkeypatch.setattr("typer.rich_utils.MAX_WIDTH", 240)
    return run


@pytest.mark.parametrize("command", sorted(set(map(command_of, EXAMPLES))), ids=" ".join)
def test_every_example_uses_options_that_its_command_has(run_wide: Run, command: tuple[str, ...]) -> None:
    known = set(re.findall(r"-[-\w]+", run_wide(*command, "--help").out)) | GLOBAL_OPTIONS
    for example in EXAMPLES:
        if command_of(example) == command:
            used = {word.partition("=")[0] for word in shlex.split(example) if re.match(r"--?[a-z]", word)}
            assert used <= known, example


def test_every_command_is_shown_by_an_example(run_wide: Run) -> None:
    shown = set(map(command_of, EXAMPLES))
    groups = re.findall(r"│ ([-\w]+)  ", run_wide("--help").out.split("Commands")[1])
    assert set(groups) == {command[0] for command in shown}
    for group in sorted(set(groups) - SINGLE):
        commands = re.findall(r"│ ([-\w]+)  ", run_wide(group, "--help").out.split("Commands")[1])
        assert {(group, command) for command in commands} == {
            command for command in shown if command[0] == group and len(command) > 1
        }
