"""The section `os_ken` of the controller's configuration, and the place of every mistake in it."""

from pathlib import Path

import pytest

from controller.config.controller_file import load_controller_config
from controller.config.mistakes import Mistakes
from controller.config.os_ken_section import OsKenConfig


def read(tmp_path: Path, section: str, more: str = "") -> OsKenConfig | None:
    file = tmp_path / "controller.yaml"
    file.write_text(f"schema: qinet-controller\nversion: 1\nos_ken: {section}\n{more}")
    return load_controller_config(file).os_ken


def test_without_the_section_nothing_of_os_ken_runs(tmp_path: Path) -> None:
    file = tmp_path / "controller.yaml"
    file.write_text("schema: qinet-controller\nversion: 1\n")
    assert load_controller_config(file).os_ken is None


def test_apps_alone_are_enough(tmp_path: Path) -> None:
    assert read(tmp_path, "{apps: [guard, acme.billing]}") == OsKenConfig(
        apps=("guard", "acme.billing"),
        listen=("127.0.0.1", 6653),
        plaintext_beyond_loopback=False,
        queue_size=1024,
    )


def test_plain_openflow_beyond_loopback_must_be_asked_for(tmp_path: Path) -> None:
    with pytest.raises(Mistakes, match=r":3: os_ken.listen: 10.0.0.1 is not loopback"):
        read(tmp_path, '{apps: [guard], listen: "10.0.0.1:6653"}')
    taken = read(tmp_path, '{apps: [guard], listen: "10.0.0.1:6653", plaintext_beyond_loopback: true}')
    assert taken is not None
    assert taken.listen == ("10.0.0.1", 6653)


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ("{}", "os_ken.apps"),
        ("{apps: []}", "os_ken.apps: 0 are not 1 to 32"),
        ("{apps: ['no module']}", "os_ken.apps: 'no module' is not the dotted name of a module"),
        ("{apps: [guard, guard]}", "os_ken.apps: an app is named twice"),
        ("{apps: [guard], queue_size: 0}", "os_ken.queue_size"),
        ("{apps: [guard], colour: red}", "os_ken.colour: unknown"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_field(tmp_path: Path, section: str, says: str) -> None:
    with pytest.raises(Mistakes) as refused:
        read(tmp_path, section)
    assert ":3: " in str(refused.value)
    assert says in str(refused.value)


def test_a_port_that_another_service_has_already_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(Mistakes, match=r"os_ken.listen: port 7777 is northbound's already"):
        read(tmp_path, '{apps: [guard], listen: "127.0.0.1:7777"}', "northbound: {listen: '127.0.0.1:7777'}\n")
