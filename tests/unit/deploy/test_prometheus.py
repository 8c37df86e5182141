"""Alert rules and dashboard speak of metrics that there are, with labels that they have, and the rules are tested."""

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.config.controller_file import load_controller_config
from tests.golden.metrics_page import exposed_name, families, label_names
from tests.support.metrics_world import populated_registry
from tests.support.pages import ROOT

PROMETHEUS = ROOT / "deploy" / "prometheus"
RULES = PROMETHEUS / "qinet-alerts.yml"
TESTS = PROMETHEUS / "tests" / "qinet-alerts-test.yml"
DASHBOARD = ROOT / "deploy" / "grafana" / "qinet.json"
OPERATING = ROOT / "docs" / "operating.md"

# What Prometheus itself adds to every series.
ALWAYS = {"instance", "job"}
WORDS = {"by", "on", "group_left", "group_right", "without", "ignoring"}


@cache
def series() -> Mapping[str, frozenset[str]]:
    """Return the labels of every series of a controller, by name."""
    known: dict[str, frozenset[str]] = {"up": frozenset(ALWAYS)}
    for family in families(populated_registry()):
        labels = frozenset(label_names(family)) | ALWAYS
        if family.type == "histogram":
            known |= {
                f"{family.name}_bucket": labels | {"le"},
                f"{family.name}_count": labels,
                f"{family.name}_sum": labels,
            }
        else:
            known[exposed_name(family)] = labels
    return known


def mistakes(expression: str) -> list[str]:
    """Return what an expression says of series or labels that there are not."""
    found = []
    named = re.findall(r"\b(qinet_\w+|up)\b(?:\{([^}]*)\})?", expression)
    labels = set(ALWAYS)
    for name, matchers in named:
        if name not in series():
            found.append(f"there is no {name}")
            continue
        labels |= series()[name]
        found += [
            f"{name} has no label {label}"
            for label in re.findall(r"(\w+)\s*[=!]~?\s*\"", matchers)
            if label not in series()[name]
        ]
    for listed in re.findall(rf"\b(?:{'|'.join(WORDS)})\s*\(([\w\s,]*)\)", expression):
        found += [f"no series has a label {label}" for label in re.findall(r"\w+", listed) if label not in labels]
    return found if named else [*found, "it looks at nothing"]


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def queries() -> Iterator[tuple[str, str, str]]:
    """Yield (panel, expression, legend) of the dashboard."""
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"], target["legendFormat"]


def promtool(*arguments: str | Path) -> None:
    ran = subprocess.run(
        ["promtool", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=TESTS.parent,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_a_rule_looks_at_series_and_labels_that_there_are(rule: dict[str, Any]) -> None:
    assert mistakes(rule["expr"]) == []
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    told = " ".join(rule["annotations"].values())
    for label in re.findall(r"\$labels\.(\w+)", told):
        assert any(label in series()[name] for name in re.findall(r"qinet_\w+|\bup\b", rule["expr"])), label


def test_every_panel_looks_at_series_and_labels_that_there_are() -> None:
    found = {}
    for panel, expression, legend in queries():
        problems = mistakes(expression)
        names = re.findall(r"qinet_\w+|\bup\b", expression)
        problems += [
            f"legend has no {label}"
            for label in re.findall(r"{{(\w+)}}", legend)
            if not any(label in series().get(name, ()) for name in names)
        ]
        if problems:
            found[panel] = problems
    assert found == {}


def test_the_panels_of_the_dashboard_neither_overlap_nor_leave_the_page() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_every_metric_of_the_network_is_on_the_dashboard_or_in_an_alert() -> None:
    shown = " ".join([*(expression for _, expression, _ in queries()), *(rule["expr"] for rule in rules())])
    unseen = [family.name for family in families(populated_registry()) if family.name not in shown]
    counted_elsewhere = {"qinet_batch_decisions", "qinet_applications", "qinet_os_ken_queue_events"}
    assert set(unseen) - counted_elsewhere <= {"qinet_configuration_reloads"}


def test_the_page_on_operating_says_of_every_alert_what_to_do() -> None:
    told = re.findall(r"^\| `(Qinet\w+)` \| (\w+) \|", OPERATING.read_text(), re.MULTILINE)
    assert sorted(told) == sorted((rule["alert"], rule["labels"]["severity"]) for rule in rules())


def test_every_alert_is_seen_to_fire_in_the_tests_of_the_rules() -> None:
    fired = set(re.findall(r"labels: 'ALERTS\{alertname=\"(\w+)\"", TESTS.read_text()))
    assert fired == {rule["alert"] for rule in rules()}


def test_a_series_or_label_that_there_is_not_is_noticed() -> None:
    assert mistakes("qinet_links > 0") == ["there is no qinet_links"]
    assert mistakes('qinet_key_relays{status="BLOCKED"} > 0') == ["qinet_key_relays has no label status"]
    assert mistakes("sum by (relay) (qinet_agent_connected)") == ["no series has a label relay"]
    assert mistakes("rate(qinet_commit_seconds[5m])") == ["there is no qinet_commit_seconds"]


@pytest.mark.needs("promtool")
def test_promtool_takes_the_rules_and_finds_that_they_fire_when_they_should() -> None:
    promtool("check", "rules", RULES)
    promtool("test", "rules", TESTS)


@pytest.mark.needs("promtool")
def test_promtool_takes_the_scrape_configuration() -> None:
    promtool("check", "config", "--syntax-only", PROMETHEUS / "prometheus.yml")


@pytest.mark.parametrize("file", ["systemd/controller.yaml", "container/controller.yaml"])
def test_the_first_configurations_have_no_mistakes(file: str) -> None:
    config = load_controller_config(ROOT / "deploy" / file)
    assert config.metrics is not None
    assert config.logging.json
