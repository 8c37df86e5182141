"""The base install is agent and qinetctl; what only the engine needs is not in it."""

import configparser
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Makes the interpreter of a process behave as if the controller extra were not installed.
_WITHOUT_EXTRA = (
    "import sys\nfor name in ('networkx', 'grpc_health', 'grpc_reflection', 'os_ken'):\n    sys.modules[name] = None\n"
)


def _run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _WITHOUT_EXTRA + code], capture_output=True, text=True, timeout=60, check=False
    )


def test_the_controller_without_its_extra_names_the_pip_command(tmp_path: Path) -> None:
    config = tmp_path / "controller.yaml"
    config.write_text("schema: qinet-controller\nversion: 1\n")
    done = _run(
        f"sys.argv = ['qinet-controller', 'run', '--config', {str(config)!r}]\n"
        "from controller.__main__ import main\n"
        "main()\n"
    )
    assert done.returncode == 2
    assert "pip install 'qinet-controller[controller]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("module", ["controller.cli.main", "southbound.commands.main"])
def test_the_command_lines_of_the_base_install_need_no_extra(module: str) -> None:
    done = _run(f"sys.argv = ['x', '--help']\nfrom {module} import main\nmain()\n")
    assert done.returncode == 0, done.stderr


def test_the_extra_is_not_among_the_base_requirements() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    base = config["options"]["install_requires"]
    for package in ("networkx", "os-ken", "grpcio-health-checking", "grpcio-reflection"):
        assert package not in base
