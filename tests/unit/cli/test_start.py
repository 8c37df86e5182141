"""What a start of qinetctl loads: the command that is run, and nothing that is slow and not needed for it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.core import TyperCommand

from controller.cli.commands import COMMANDS, assembled
from controller.cli.demand import Protection
from controller.cli.quick_parameters import QuickCommand
from tests.bench import cli_start
from tests.unit.cli.test_commands import ENGINE, loaded

SLOW = {
    "pydantic",
    "rich.live",
    "rich.progress",
    "grpc",
    "google.protobuf",
    "cryptography",
    "yaml",
    "controller.cli.demo",
}


@pytest.mark.parametrize(
    ("arguments", "also_not"),
    [
        (["--version"], {"rich", "controller.cli.get", "controller.cli.top"}),
        (["get", "nodes", "--help"], {"controller.cli.relay", "controller.cli.top"}),
        (["relay", "update", "--help"], {"controller.cli.get", "controller.cli.tables"}),
        (["top", "--help"], {"termios", "controller.cli.keyboard", "controller.cli.top_view"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_start_loads_only_what_it_needs(arguments: list[str], also_not: set[str]) -> None:
    modules = loaded(*arguments)
    assert not (SLOW | also_not) & modules
    assert not [name for name in modules if name.startswith(ENGINE)]


def test_a_command_that_asks_the_controller_loads_neither_pydantic_nor_rich_nor_the_engine(tmp_path: Path) -> None:
    program = (
        "import sys; from controller.cli.main import main; "
        f"pki = ['--pki', {str(tmp_path)!r}]; "
        "main(['pki', 'init', *pki]); main(['pki', 'issue', 'user/operator', *pki]); "
        "main(['get', 'nodes', *pki, '--controller', '127.0.0.1:1']); "
        "import json; print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    modules = set(json.loads(done.stdout.splitlines()[-1]))
    assert {"grpc", "controller.cli.get"} <= modules
    assert not {"pydantic", "rich", "rich.live", "yaml", "controller.cli.relay"} & modules
    assert not [name for name in modules if name.startswith(ENGINE)]


def test_every_command_is_assembled_alone_as_it_is_with_all_others() -> None:
    whole = typer.main.get_command(assembled())
    assert set(getattr(whole, "commands")) == set(COMMANDS)  # noqa: B009 (of groups only)
    for name in COMMANDS:
        alone = typer.main.get_command(assembled(name))
        assert list(getattr(alone, "commands")) == [name]  # noqa: B009


# typer carries a click of its own, or uses the installed one: what a wrong command line raises is BadParameter's base.
WRONG_USAGE: Any = typer.BadParameter.__mro__[1]
Bounded = Annotated[int | None, typer.Option(min=0, max=9)]
Ratio = Annotated[float, typer.Option(min=0.5)]


def read_by(kind: type[TyperCommand], arguments: list[str]) -> object:
    """Return what a command of that kind makes of its arguments: their values, or that they are refused."""
    app = typer.Typer(add_completion=False)
    taken: dict[str, Any] = {}

    @app.command(cls=kind)
    def sample(
        names: Annotated[list[str] | None, typer.Argument()] = None,
        *,
        text: str = "",
        several: Annotated[list[str] | None, typer.Option()] = None,
        bounded: Bounded = None,
        ratio: Ratio = 1.0,
        file: Path | None = None,
        protection: Protection | None = None,
        flag: bool = False,
        either: Annotated[bool | None, typer.Option("--yes/--no")] = None,
    ) -> None:
        taken.update(
            names=names, text=text, several=several, bounded=bounded, ratio=ratio, file=file, protection=protection,
            flag=flag, either=either,
        )  # fmt: skip

    try:
        typer.main.get_command(app).main(args=arguments, prog_name="sample", standalone_mode=False)
    except WRONG_USAGE as refused:
        return f"{type(refused).__name__}: {refused}"
    return [(name, type(value), value) for name, value in taken.items()]


words = st.sampled_from(
    [
        *("--text=", "--text=a b", "--several=x", "--several=y", "--bounded=3", "--bounded=-1", "--bounded=10"),
        *(
            "--bounded= 4",
            "--bounded=4.0",
            "--bounded=four",
            "--bounded=1_0",
            "--ratio=0.5",
            "--ratio=0.4",
            "--ratio=nan",
        ),
        *("--ratio=1e3", "--ratio=inf", "--ratio=x", "--file=a/b", "--file=", "--protection=1:1", "--protection=1+1"),
        *("--protection=ONE_FOR_ONE", "--protection=", "--flag", "--yes", "--no", "name", "--nonsense"),
    ]
)


@settings(deadline=None, max_examples=60)
@given(st.lists(words, max_size=4))
def test_what_is_read_quickly_is_what_typer_reads(arguments: list[str]) -> None:
    assert read_by(QuickCommand, arguments) == read_by(TyperCommand, arguments)


def test_the_figure_of_the_start_is_one_line_with_its_peer() -> None:
    told = cli_start.measured(1, warm=False)
    assert list(told)[:6] == ["work", "ours", "unit", "peer", "theirs", "ratio"]
    assert json.loads(json.dumps(told)) == told
