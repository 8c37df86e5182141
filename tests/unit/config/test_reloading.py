"""Which changes of the configuration file count at once, and which wait for a restart."""

from pathlib import Path

import pytest

from controller.config.controller_file import ControllerConfig, load_controller_config
from controller.config.reloading import RELOADABLE, reload_of

WHOLE = {
    "name": "main",
    "pki": "pki",
    "topology": "network.yaml",
    "store": "{kind: sqlite, path: a.db}",
    "northbound": "{listen: '127.0.0.1:7400'}",
    "southbound": "{listen: '127.0.0.1:7401', heartbeat_interval_ms: 1000, report_interval_ms: 1000}",
    "metrics": "{listen: '127.0.0.1:7402', plaintext_on_loopback: true, relays: [one]}",
    "addresses": "told.json",
    "logging": "{level: INFO, format: text}",
}


def read(tmp_path: Path, **changes: str) -> ControllerConfig:
    file = tmp_path / "controller.yaml"
    lines = {"schema": "qinet-controller", "version": "1", **WHOLE, **changes}
    file.write_text("".join(f"{key}: {value}\n" for key, value in lines.items() if value))
    return load_controller_config(file)


@pytest.mark.parametrize(
    ("change", "applied", "waiting"),
    [
        ({"logging": "{level: DEBUG, format: json}"}, {"logging.level", "logging.format"}, set()),
        ({"pki": "renewed"}, {"pki"}, set()),
        (
            {"southbound": "{listen: '127.0.0.1:7401', heartbeat_interval_ms: 500, report_interval_ms: 250}"},
            {"southbound.heartbeat_interval_ms", "southbound.report_interval_ms"},
            set(),
        ),
        (
            {"metrics": "{listen: '127.0.0.1:7402', plaintext_on_loopback: false, relays: [one, two]}"},
            {"metrics.relays"},
            {"metrics.plaintext_on_loopback"},
        ),
        ({"metrics": ""}, set(), {"metrics"}),
        ({"store": "{kind: memory, path: b.db}"}, set(), {"store.kind", "store.path"}),
        ({"northbound": "{listen: '127.0.0.1:7500'}"}, set(), {"northbound.listen"}),
        ({"name": "other", "topology": "", "addresses": ""}, set(), {"name", "topology", "addresses"}),
        ({"apps": "[apps.restoration.Restoration]"}, set(), {"apps"}),
    ],
)
def test_each_change_counts_at_once_or_is_named_as_waiting(
    tmp_path: Path, change: dict[str, str], applied: set[str], waiting: set[str]
) -> None:
    running, new = read(tmp_path), read(tmp_path, **change)
    reload = reload_of(running, new)
    assert (set(reload.applied), set(reload.waiting)) == (applied, waiting)
    assert reload.config.sha256 == new.sha256 != running.sha256
    # What is in force now differs from the file in what waits, and in nothing else.
    again = reload_of(reload.config, new)
    assert (set(again.applied), set(again.waiting)) == (set(), waiting)


def test_the_same_file_changes_nothing(tmp_path: Path) -> None:
    running = read(tmp_path)
    reload = reload_of(running, read(tmp_path))
    assert (reload.config, reload.applied, reload.waiting) == (running, (), ())


def test_what_waited_is_over_when_the_file_is_put_back(tmp_path: Path) -> None:
    running = read(tmp_path)
    reload = reload_of(running, read(tmp_path, store="{kind: memory}", logging="{level: DEBUG}"))
    back = reload_of(reload.config, read(tmp_path))
    assert back.waiting == ()
    assert back.config == running


def test_the_fields_that_can_be_reloaded_are_fields_of_the_file(tmp_path: Path) -> None:
    """A misspelt name would wait for a restart for ever, and say so of a field that counts already."""
    changed = read(
        tmp_path,
        pki="renewed",
        logging="{level: DEBUG, format: json}",
        southbound="{listen: '127.0.0.1:7401', heartbeat_interval_ms: 500, report_interval_ms: 250}",
        metrics="{listen: '127.0.0.1:7402', plaintext_on_loopback: true, relays: [two], paths: [lab]}",
    )
    assert set(reload_of(read(tmp_path), changed).applied) == RELOADABLE
