"""The import contracts hold, and each one fails when it is broken."""

import ast
import configparser
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("controller", "southbound", "apps")

# Contract, the file to spoil, and the import that it must not have.
BREAKERS = [
    ("layers", "controller/domain/names.py", "import controller.routing"),
    ("core", "controller/routing/graph.py", "import time"),
    ("apps", "apps/restoration.py", "import controller.service"),
    ("agent", "southbound/agent/session.py", "import controller.service.desk"),
    ("shared-with-agent", "controller/config/section.py", "import controller.ports.store"),
    ("controller-without-agents", "controller/cli/main.py", "import southbound.agent"),
    ("engine-free-cli", "controller/cli/main.py", "import controller.routing.graph"),
    ("os-ken", "controller/service/writer.py", "import os_ken"),
]


def _lint(folder: Path, contract: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--contract", contract],
        cwd=folder,
        env={"PYTHONPATH": f"{folder}:{folder / 'proto' / 'gen'}", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the sources that may be spoilt."""
    folder = tmp_path_factory.mktemp("checkout")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "proto" / "gen", folder / "proto" / "gen", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "setup.cfg", folder)
    return folder


def test_every_contract_has_a_breaker() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    contracts = {name.rpartition(":")[2] for name in config.sections() if name.startswith("importlinter:contract:")}
    assert contracts == {contract for contract, _, _ in BREAKERS}


@pytest.mark.parametrize(("contract", "file", "statement"), BREAKERS, ids=[row[0] for row in BREAKERS])
def test_a_contract_fails_when_it_is_broken(checkout: Path, contract: str, file: str, statement: str) -> None:
    clean = (checkout / file).read_text()
    try:
        (checkout / file).write_text(f"{clean}\n{statement}\n")
        broken = _lint(checkout, contract)
    finally:
        (checkout / file).write_text(clean)
    assert broken.returncode == 1, broken.stdout + broken.stderr
    assert "BROKEN" in broken.stdout


WITH_NUMPY = {"meeting_window", "memory_regime", "ready_pair", "renewal_grid"}
"""Files of physics that only the engine needs."""


@pytest.mark.parametrize("layer", ["physics", "domain"])
def test_the_lowest_layers_import_only_the_standard_library(layer: str) -> None:
    allowed = {"physics": {"controller.physics"}, "domain": {"controller.physics", "controller.domain"}}[layer]
    for file in sorted((ROOT / "controller" / layer).glob("*.py")):
        for module in _imported(file):
            ours = any(module == name or module.startswith(f"{name}.") for name in allowed)
            ours |= module.partition(".")[0] == "numpy" and file.stem in WITH_NUMPY
            assert ours or module.partition(".")[0] in sys.stdlib_module_names, f"{file.name} imports {module}"


def test_neither_agents_nor_the_command_line_load_numpy() -> None:
    told = "import sys, southbound.commands.main, controller.cli.main, southbound.agent.node, southbound.fleet.fleet; "
    run = [sys.executable, "-c", told + "print('numpy' in sys.modules)"]
    assert subprocess.run(run, check=True, capture_output=True, text=True, cwd=ROOT).stdout == "False\n"


def test_there_is_no_package_in_proto() -> None:
    assert not (ROOT / "proto" / "__init__.py").exists(), "it would shadow proto-plus"


def _imported(file: Path) -> list[str]:
    names: list[str] = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names.append(node.module or "")
    return names
