"""Tables of the pages name everything that the code has; examples of the pages hold."""

import configparser
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.config.controller_file import load_controller_config
from controller.config.mistakes import Mistakes
from controller.domain.commands import BlockService
from controller.domain.events import LinkWentDown
from controller.domain.key_relay import Demand, KeyRelay
from controller.domain.route import Route
from controller.domain.snapshot import put
from southbound.agent.alarms import _NAMES
from southbound.agent.keyplane.events import AlarmKind
from tests.support.networks import line
from tests.support.pages import ROOT, blocks

OPERATING = (ROOT / "docs" / "operating.md").read_text()
SECTIONS = ("store", "northbound", "southbound", "metrics", "logging", "os_ken")


def sources(*folders: str) -> Iterator[str]:
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path.read_text()


def known_fields(tmp_path: Path) -> set[str]:
    """Return every field of a configuration file, as the reader's own complaint lists them."""
    file = tmp_path / "controller.yaml"
    sections = "".join(f"{section}: {{no_such_field: 1}}\n" for section in SECTIONS)
    file.write_text(f"schema: qinet-controller\nversion: 1\nno_such_field: 1\n{sections}")
    with pytest.raises(Mistakes) as refused:
        load_controller_config(file)
    fields = set()
    for section, names in re.findall(r": (?:(\w+)\.)?no_such_field: unknown; known here: (.*)", str(refused.value)):
        fields |= {f"{section}.{name}" if section else name for name in names.split(", ")}
    return fields


def test_the_page_on_operating_names_every_field_of_the_configuration(tmp_path: Path) -> None:
    fields = known_fields(tmp_path)
    assert {"name", "store.kind", "metrics.relays"} <= fields
    table = set(re.findall(r"^\| `([\w.]+)` \|", OPERATING, re.MULTILINE))
    assert fields - set(SECTIONS) <= table


def test_the_page_on_operating_has_a_configuration_that_is_taken(tmp_path: Path) -> None:
    _, example = next(blocks(OPERATING, "yaml"))
    file = tmp_path / "controller.yaml"
    file.write_text(example)
    assert load_controller_config(file).metrics is not None


def test_the_page_on_operating_explains_every_alarm() -> None:
    kinds = {_NAMES.get(kind, kind.value) for kind in AlarmKind}
    for text in sources("controller/service", "southbound/control", "southbound/agent"):
        kinds |= set(re.findall(r'kind="([A-Z_]+)"', text))
        kinds |= set(re.findall(r'raised\(\s*f?"[^"]*", "([A-Z_]+)"', text))
        for constant in re.findall(r"(?:kind=|_alarm\(|_raise\(node, place, |raised\([^,]*, )([A-Z][A-Z_]+)\b", text):
            kinds |= set(re.findall(rf'^{constant}(?:: Final)? = "([A-Z_]+)"', text, re.MULTILINE))
    assert {"AGENT_LOST", "DUPLICATE_AGENT", "AGENT_FAULTY", "MODULE_MISSING", "QBER_HIGH"} <= kinds
    explained = set(re.findall(r"^\| `([A-Z_]+)` \|", OPERATING.partition("## Refusals")[0], re.MULTILINE))
    assert kinds - explained == set()


def test_the_page_on_operating_explains_every_reason_of_a_refusal() -> None:
    raised = re.compile(
        r"(?:Precondition|AlreadyExists|Overloaded|TooHard|TooManyCalls|NoAnswerInTime|PeerRefused|Unusable|"
        r'StoreRefused|CannotListen|super\(\).__init__|_refuse)\(\s*"([A-Z][A-Z_]+)"'
    )
    reasons = {
        reason
        for folder in ("controller/domain", "controller/service", "controller/routing", "controller/northbound",
                       "controller/store", "controller/identity", "southbound/control", "southbound/agent")
        for text in sources(folder)
        for reason in raised.findall(text)
    }  # fmt: skip
    assert {"NO_ROUTE", "STALE_ETAG", "INBOX_FULL", "STORE_HELD", "TLS_EXPIRED"} <= reasons
    told = set(re.findall(r"`([A-Z][A-Z_]+)`", OPERATING))
    # The lab CA's own are told by qinetctl pki, which names the file and the remedy; agents see the others in a status.
    elsewhere = {"NO_CA", "CA_UNREADABLE", "CA_EXPIRED", "KEY_UNREADABLE", "EXISTS", "NOT_WRITABLE", "TOO_OLD"}
    assert reasons - told - elsewhere == set()


def test_the_digest_of_the_page_on_agents_is_computed_as_it_says() -> None:
    examples = [code for _, code in blocks((ROOT / "docs" / "writing-an-agent.md").read_text(), "python")]
    exec(compile(examples[0], "writing-an-agent.md", "exec"), {})


def test_the_app_of_the_page_on_apps_does_what_the_page_says() -> None:
    _, code = next(blocks((ROOT / "docs" / "writing-an-app.md").read_text(), "python"))
    namespace: dict[str, type] = {}
    exec(compile(code, "writing-an-app.md", "exec"), namespace)
    snapshot = line(2)
    for name, priority in (("bulk", 0), ("urgent", 5)):
        demand = Demand(source="n00", target="n02", rate_millibit_per_s=1000, priority=priority)
        route = Route(nodes=("n00", "n01", "n02"), links=("l00", "l01"))
        snapshot = snapshot.applying(put(KeyRelay(name=name, demand=demand, routes=(route,), route_version=1)))

    commands = list(namespace["SpareStoredKey"]().handle(LinkWentDown(link="l01"), snapshot))

    assert commands == [BlockService(service="bulk", because="links/l01 is down; its stored key is spared")]


def test_the_page_on_dependencies_names_every_one_and_no_other() -> None:
    declared = configparser.ConfigParser()
    declared.read(ROOT / "setup.cfg")
    extras = declared["options.extras_require"]
    wanted = "\n".join([declared["options"]["install_requires"], extras["controller"], extras["dev"]])
    wanted += "\n" + (ROOT / "tests" / "oracles" / "requirements.txt").read_text()
    names = {re.split(r"[ \[<>=]", line)[0] for line in wanted.splitlines() if line and not line.startswith("#")}
    rows = re.findall(r"^\| ([^|]+) \|", (ROOT / "docs" / "dependencies.md").read_text(), re.MULTILINE)
    told = {name.strip() for row in rows for name in row.split(",")} - {"package"}
    assert told == names
