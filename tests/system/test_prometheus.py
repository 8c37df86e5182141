"""A real Prometheus, with the scrape configuration and the alert rules that are shipped, scrapes a real controller."""

import json
import re
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.identity.peers import parse_identity
from tests.support.daemons import world
from tests.support.operator_calls import wait_until
from tests.support.pages import ROOT
from tests.support.topology_text import topology_yaml

SHIPPED = ROOT / "deploy" / "prometheus"


@contextmanager
def prometheus(folder: Path) -> Iterator[str]:
    """Run a Prometheus on the folder's prometheus.yml; yield the address of its API."""
    log = folder / "prometheus.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [
                "prometheus",
                "--config.file=prometheus.yml",
                "--storage.tsdb.path=data",
                "--web.listen-address=127.0.0.1:0",
            ],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
        )
    try:

        def address() -> str:
            assert process.poll() is None, log.read_text()
            found = re.search(r'msg="Listening on" address=(\S+)', log.read_text())
            return found[1] if found and "Server is ready" in log.read_text() else ""

        wait_until(lambda: bool(address()), "Prometheus to listen")
        yield f"http://{address()}"
    finally:
        process.terminate()
        process.wait(15)


def ask(api: str, path: str, **query: str) -> Any:
    with urllib.request.urlopen(f"{api}/api/v1/{path}?{urllib.parse.urlencode(query)}", timeout=5) as answer:
        told = json.loads(answer.read())
    assert told["status"] == "success", told
    return told["data"]


@pytest.mark.needs("prometheus")
@pytest.mark.timeout(60)
def test_prometheus_scrapes_the_controller_and_its_alerts_see_what_is_wrong(tmp_path: Path) -> None:
    with world(tmp_path / "net", topology_yaml("pair", [("one", "a", "b")])) as running:
        running.certify(parse_identity("user/prometheus"))
        running.start_controller(metrics='{listen: "127.0.0.1:0"}')
        target = re.sub(r"^https://|/metrics$", "", running.addresses["metrics"])
        shutil.copy(SHIPPED / "qinet-alerts.yml", tmp_path)
        config = yaml.safe_load((SHIPPED / "prometheus.yml").read_text())
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        (job,) = config["scrape_configs"]
        job["static_configs"] = [{"targets": [target]}]
        shutil.copytree(running.pki, tmp_path / "pki")
        (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))

        with prometheus(tmp_path) as api:

            def value(expression: str) -> list[float]:
                return [float(each["value"][1]) for each in ask(api, "query", query=expression)["result"]]

            wait_until(lambda: value('up{job="qinet"}') == [1.0], "the target to be up")
            (target_seen,) = ask(api, "targets", state="active")["activeTargets"]
            assert target_seen["lastError"] == ""
            assert value("qinet_agent_connected") == [0.0, 0.0]
            assert value("qinet_configuration_info") == [1.0]
            # No agent was ever there: that is what the rules see, and nothing else of them fails.
            wait_until(lambda: value('ALERTS{alertname="QinetAgentLost"}') == [1.0, 1.0], "the alert to be pending")
            loaded = [rule for group in ask(api, "rules")["groups"] for rule in group["rules"]]
            assert {rule["name"]: rule.get("lastError") for rule in loaded if rule["health"] == "err"} == {}
            assert "QinetControllerDown" in {rule["name"] for rule in loaded}
