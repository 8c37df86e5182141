"""The page for beginners does what it says: its blocks are run as they stand, in order, in one shell."""

import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.pages import ROOT, blocks

PAGE = ROOT / "docs" / "getting-started.md"
_WITHIN_S = 180


def free_ports(number: int) -> list[int]:
    """Return ports that nobody listens on, below those that other tests are given by the system."""
    found: list[int] = []
    while len(found) < number:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in found:
            found.append(port)
    return found


def script(tmp_path: Path) -> str:
    """Return the page's commands as one script: on free ports, with the installation that runs this test."""
    text = "\n".join(content for _, content in blocks(PAGE.read_text(), "sh"))
    ports = sorted(set(re.findall(r"\b74\d\d\b", text)))
    for port, free in zip(ports, free_ports(len(ports)), strict=True):
        text = text.replace(port, str(free))
    assert "make install\n" in text
    text = text.replace("make install\n", "").replace("$PWD/.venv/bin", str(Path(sys.executable).parent))
    text = text.replace("$PWD/topologies", str(ROOT / "topologies"))
    return "set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n" + text


@pytest.mark.timeout(_WITHIN_S + 20)
def test_the_page_for_beginners_relays_a_key_to_a_node_that_it_adds_and_delivers_pairs(tmp_path: Path) -> None:
    bash = shutil.which("bash")
    assert bash is not None
    environment = {name: value for name, value in os.environ.items() if not name.startswith("QINET_")}
    shell = subprocess.Popen(
        [bash, "-c", script(tmp_path)],
        cwd=tmp_path,
        env={**environment, "COLUMNS": "200"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = shell.communicate(timeout=_WITHIN_S)
    except subprocess.TimeoutExpired:
        os.killpg(shell.pid, signal.SIGKILL)
        said, _ = shell.communicate()
    logs = "\n".join(f"--- {log.name}\n{log.read_text()}" for log in sorted(tmp_path.glob("my*/*.log")))
    assert shell.returncode == 0, f"{said}\n{logs}"
    for expected in ("mistakes:        none", "state:             ACTIVE", "the same key at both ends", "LINK_DOWN"):
        assert expected.split(":")[0] in said
        assert re.search(re.escape(expected).replace(r"\ ", r"\s*"), said), said
    pairs = said[said.index("proven best") :]
    for expected in ("entanglementPaths/pairs", "ESTIMATED FIDELITY", "BLOCKED"):
        assert expected in pairs, pairs
