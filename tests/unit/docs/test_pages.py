"""What the pages tell a reader to type exists, and what they link to is there."""

import functools
import re
import shlex
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import typer
import typer.main

from controller.__main__ import app as controller_app
from controller.cli.arguments import normalised
from controller.cli.commands import assembled
from southbound.commands.main import app as agent_app
from tests.support.pages import PAGES, ROOT, Command, anchors, commands, links

# typer carries a click of its own, or uses the installed one: what a wrong command line raises is BadParameter's base.
WrongUsage = typer.BadParameter.__mro__[1]
PROGRAMS: dict[str, Any] = {
    "qinetctl": typer.main.get_command(assembled()),
    "qinet-agent": typer.main.get_command(agent_app),
    "qinet-controller": typer.main.get_command(controller_app),
}
COMMANDS = [command for page in PAGES for command in commands(page)]
_ENDS = re.compile(r"\s(?:\|\||&&|[|;&])(?:\s|$)|\s[12]?>|\s2>&1")


@functools.cache
def targets() -> frozenset[str]:
    return frozenset(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def parse(command: Command) -> None:
    """Parse as the program would, without running it.

    Raises:
        UsageError: The program would refuse the command line.
    """
    program, *arguments = shlex.split(_ENDS.split(command.text + " ")[0], comments=True)
    if program == "make":
        wanted = [word for word in arguments if "=" not in word]
        assert wanted, command
        assert targets().issuperset(wanted), command
    elif program in PROGRAMS:
        descend(PROGRAMS[program], program, normalised(arguments) if program == "qinetctl" else arguments)


def descend(command: Any, name: str, arguments: list[str], parent: Any = None) -> None:
    # Making the context parses; nothing is invoked, so no option acts.
    context = command.make_context(name, list(arguments), parent=parent)
    given = [*context._protected_args, *context.args]
    if hasattr(command, "resolve_command") and (given or not command.invoke_without_command):
        _, chosen, rest = command.resolve_command(context, given)
        descend(chosen, chosen.name, rest, context)


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_every_command_of_the_pages_is_one_that_its_program_takes(command: Command) -> None:
    with suppress(typer.Exit):  # --help, --version
        parse(command)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_of_a_page_leads_to_a_file_and_a_heading(page: Path) -> None:
    broken = []
    for link in links(page):
        path, _, fragment = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (fragment and fragment not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_a_command_that_does_not_exist_is_noticed() -> None:
    for text in ("qinetctl get lynx", "qinetctl relay create a b --speed 3", "qinet-agent run --node a"):
        with pytest.raises(WrongUsage):
            parse(Command("page.md", 1, text))
    with pytest.raises(AssertionError):
        parse(Command("page.md", 1, "make coffee"))
