"""`qinetctl demo --once`, the main job from certificates to a cut fibre, as `make run ONCE=1` runs it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parents[2]


@pytest.mark.timeout(150)
@pytest.mark.parametrize(
    ("topology", "after_cut", "shares"),
    [
        ("tokyo-2010", "rerouted", "every route passes nodes/otemachi"),
        ("line-3", "rode_on_store", "every route passes nodes/middle"),
        ("mesh-2-disjoint", "rerouted", "two disjoint routes exist"),
    ],
)
def test_the_demonstration_holds_and_leaves_nothing_behind(
    tmp_path: Path, topology: str, after_cut: str, shares: str
) -> None:
    run = subprocess.Popen(
        [sys.executable, "-m", "controller.cli.main", "demo", "--once", "--topology", topology],
        cwd=HERE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    said, complained = run.communicate(timeout=140)
    assert run.returncode == 0, said + complained
    outcome = json.loads(said.splitlines()[-1])
    assert outcome["relays_active"] == 1
    assert outcome["keys_equal"] is True
    assert outcome["after_cut"] == after_cut
    assert (outcome["restore_s"] is not None) == (after_cut == "rerouted")
    assert shares in " ".join(said.split())
    assert list(tmp_path.iterdir()) == []
    assert all(str(tmp_path) not in command for command in commands_of_everybody())


def commands_of_everybody() -> list[str]:
    """Return the command lines of all processes: daemons name the folder of their run."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return found
