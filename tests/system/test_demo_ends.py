"""However the demonstration ends, nothing of it goes on."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

_WITHIN_S = 60.0


def _eventually(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + _WITHIN_S
    while not condition():
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(0.05)


def _running(folder: Path) -> list[str]:
    """Return the command lines of the processes that name the folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in line:
            found.append(line)
    return found


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[tuple["subprocess.Popen[bytes]", Path]]:
    """Return a running demonstration and its folder; both daemons have started."""
    folder = tmp_path / "a folder"
    code = (
        "import sys; from pathlib import Path; from controller.cli.demo import run; "
        "sys.exit(run(topology='line-3', once=False, directory=Path(sys.argv[1])))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _eventually((folder / "fleet" / "fleet.json").exists, "the fleet listens")
        yield process, folder
    finally:
        process.kill()
        process.wait()


def test_killed_it_takes_its_daemons_along(demo: tuple["subprocess.Popen[bytes]", Path]) -> None:
    process, folder = demo
    process.kill()
    process.wait()
    _eventually(lambda: not _running(folder), "the daemons end")


@pytest.mark.parametrize("numbers", [(signal.SIGINT, signal.SIGINT), (signal.SIGHUP,), (signal.SIGINT, signal.SIGTERM)])
def test_a_signal_ends_it_in_order_and_a_second_one_breaks_nothing(
    demo: tuple["subprocess.Popen[bytes]", Path], numbers: tuple[signal.Signals, ...]
) -> None:
    process, folder = demo
    for number in numbers:
        os.kill(process.pid, number)
    assert process.wait(_WITHIN_S) == 0
    assert not _running(folder)


def test_a_folder_with_something_in_it_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "ca.key").write_text("precious")
    code = (
        "import sys; from pathlib import Path; from controller.cli.demo import run; "
        "sys.exit(run(topology='line-3', once=True, directory=Path(sys.argv[1])))"
    )
    for directory, words in ((tmp_path, "is not empty"), (tmp_path / "ca.key", "give a folder")):
        done = subprocess.run(
            [sys.executable, "-c", code, str(directory)], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 2
        assert words in done.stderr
        assert "Traceback" not in done.stderr
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("ca.key", "precious")]
