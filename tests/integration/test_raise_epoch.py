"""An operator begins a new line of history by hand."""

import subprocess
import sys
from pathlib import Path

from controller.store.sqlite import SqliteStore


def _raise(config: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "controller", "raise-epoch", "--config", str(config), *more]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def _config(folder: Path) -> Path:
    config = folder / "controller.yaml"
    config.write_text("schema: qinet-controller\nversion: 1\nstore: {path: controller.db}\n")
    return config


def test_the_next_term_is_above_what_agents_have_seen(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "controller.db")
    store.open_term()
    store.close()

    assert _raise(_config(tmp_path), "--above", "7").returncode == 0

    store = SqliteStore(tmp_path / "controller.db")
    try:
        assert store.open_term().epoch == 8
    finally:
        store.close()


def test_the_store_of_a_running_controller_is_left_alone(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "controller.db")
    try:
        done = _raise(_config(tmp_path))
    finally:
        store.close()
    assert done.returncode == 2
    assert "another controller" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    done = _raise(_config(tmp_path))
    assert done.returncode == 2
    assert "does not exist" in done.stderr
    assert not (tmp_path / "controller.db").exists()
