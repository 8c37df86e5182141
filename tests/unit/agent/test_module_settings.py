"""The drivers of an agent's links, as its configuration file sets them."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from controller.config.link_section import LinkSimulation
from controller.config.mistakes import Mistakes
from controller.domain.link import Basis, Link, LinkEnd, Provenance
from southbound.agent.clock import SystemClock
from southbound.agent.drivers.gs014.client import Access
from southbound.agent.drivers.gs014.module import Gs014Module
from southbound.agent.drivers.gs014.steps import Upstream
from southbound.agent.drivers.simulated import DEFAULT_EPOCH_MS, SimulatedChannel, SimulatedLink, SimulatedModule
from southbound.agent.module_settings import (
    Gs014Settings,
    ModuleSettings,
    SimulatedSettings,
    load_module_settings,
    make_module,
)

LINKS = [
    Link(name=f"a-{far}", ends=(LinkEnd(node="a", interface=number), LinkEnd(node=far, interface=1)),
         model_skr_millibit_per_s=1)
    for number, far in ((1, "b"), (2, "c"))
]  # fmt: skip
FIGURES = LinkSimulation(
    block_s=5.0,
    block_secret_bit=40_000,
    qber_mean=0.02,
    qber_drift=0.0,
    drift_period_s=3600.0,
    rate_spread=0.0,
    recalibration_every_s=0.0,
    recalibration_s=0.0,
    loss_db=None,
    module=None,
    provenance=Provenance(basis=Basis.ASSUMED, source="test"),
)
GS014 = """
    driver: gs014
    url: https://kme-a.example:8443/qkd
    sae: sae-a
    peer_sae: sae-b
    certificate: tls/sae-a.crt
    key: tls/sae-a.key
    ca: /etc/kme-ca.crt
"""


def read(directory: Path, text: str) -> Mapping[str, ModuleSettings]:
    path = directory / "agent.yaml"
    path.write_text(text)
    return load_module_settings(path, "a", LINKS)


def test_each_link_has_the_driver_that_is_set_by_its_name_or_its_interface(tmp_path: Path) -> None:
    found = read(tmp_path, f"modules:\n  a-c: {{driver: simulated, seed: other, history_s: 10}}\n  1:{GS014}")
    assert found == {
        "a-b": Gs014Settings(
            access=Access(
                url="https://kme-a.example:8443/qkd",
                peer_sae="sae-b",
                certificate=tmp_path / "tls/sae-a.crt",
                key=tmp_path / "tls/sae-a.key",
                ca=Path("/etc/kme-ca.crt"),
            ),
            upstream=Upstream(sae="sae-a", peer_sae="sae-b"),
        ),
        "a-c": SimulatedSettings(seed="other", history_s=10),
    }


def test_a_file_without_modules_leaves_them_all_simulated_as_the_topology_says(tmp_path: Path) -> None:
    assert read(tmp_path, "{}") == {}
    channel = SimulatedChannel(SimulatedLink(link="a-b", seed="net", figures=FIGURES))
    assert SimulatedSettings().channel(channel) is channel


def test_what_is_set_of_a_simulated_module_changes_its_bits_and_its_behaviour(tmp_path: Path) -> None:
    text = "modules: {a-b: {driver: simulated, seed: s, epoch_ms: 5, qber_drift: 0.01, recalibration_every_s: 60}}"
    (settings,) = read(tmp_path, text).values()
    assert isinstance(settings, SimulatedSettings)
    link = SimulatedLink(link="a-b", seed="net", figures=FIGURES)
    assert link.epoch_ms == DEFAULT_EPOCH_MS
    changed = settings.channel(SimulatedChannel(link)).link
    assert changed == SimulatedLink(
        link="a-b", seed="s", epoch_ms=5, figures=replace(FIGURES, qber_drift=0.01, recalibration_every_s=60.0)
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "modules: {x: {driver: simulated}}",
            "agent.yaml:1: modules.x: is neither a link nor an interface with a link",
        ),
        ("modules: {3: {driver: simulated}}", "its links are a-b, a-c"),
        ("modules:\n  a-b: {driver: simulated}\n  1: {driver: simulated}", ":3: modules.1: link a-b is set already"),
        ("modules: {a-b: {driver: magic}}", "modules.a-b.driver: 'magic' is not one of simulated, gs014"),
        ("modules: {a-b: {}}", "modules.a-b.driver: is missing"),
        ("modules: {a-b: {driver: simulated, sead: x}}", "modules.a-b.sead: unknown; known here: "),
        ("modules: {a-b: {driver: simulated, rate_spread: 2}}", "rate_spread: 2 is not in [0, 0.5]"),
        (
            "modules: {a-b: {driver: simulated, recalibration_every_s: 5, recalibration_s: 5}}",
            "recalibration_s: is not shorter than recalibration_every_s",
        ),
        (f"modules:\n  1:{GS014}".replace("https:", "http:"), ":4: modules.1.url: "),
        (f"modules:\n  1:{GS014}".replace("8443", "844300"), ":4: modules.1.url: "),
        (f"modules:\n  1:{GS014}".replace("kme-a.example", "kme..example"), ":4: modules.1.url: "),
        (f"modules:\n  1:{GS014}    server_name: a..b", "modules.1.server_name: 'a..b' is no name of a host"),
        (f"modules:\n  1:{GS014}".replace("    url", "    uri"), "modules.1.url: is missing"),
        (f"modules:\n  1:{GS014}".replace("sae-b", "sae-a"), "modules.1.peer_sae: is our own"),
        (f"modules:\n  1:{GS014}    key_size_bit: 100", "key_size_bit: 100 is no multiple of 8"),
        (f"modules:\n  1:{GS014}    key_size_bit: 8", "key_size_bit: 8 is not in [64, 1048576]"),
        (f"modules:\n  1:{GS014}    master: c", "modules.1.master: c is no end of a-b: name one of a, b"),
        (f"modules:\n  1:{GS014}    poll_s: 0", "poll_s: 0 is not in [0.01, 3600]"),
        (f"modules:\n  1:{GS014}    keys_per_block: 5000", "keys_per_block: 5000 is not in [1, 4096]"),
    ],
)
def test_every_mistake_names_its_line_and_field(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(Mistakes) as refused:
        read(tmp_path, text)
    assert told in str(refused.value)


def test_the_page_on_operating_has_a_file_that_is_taken_and_names_every_field(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "operating.md").read_text()
    chapter = page.partition("## The agent's configuration file")[2].partition("\n## ")[0]
    example = chapter.partition("```yaml\n")[2].partition("```")[0]
    assert set(read(tmp_path, example.replace("alice-bob", "a-b"))) == {"a-b", "a-c"}
    for driver in ("gs014", "simulated"):
        with pytest.raises(Mistakes) as refused:
            read(tmp_path, f"modules: {{a-b: {{driver: {driver}, nothing: 1}}}}")
        known = str(refused.value).partition("known here: ")[2].splitlines()[0].split(", ")
        assert len(known) > 8
        assert [field for field in known if f"`{field}`" not in chapter and field != "driver"] == []


def test_a_module_is_made_as_it_is_set(tmp_path: Path) -> None:
    (gs014,) = read(tmp_path, f"modules:\n  1:{GS014}").values()
    channel = SimulatedChannel(SimulatedLink(link="a-b", seed="net", figures=FIGURES))
    made = make_module("a-b", gs014, SystemClock(), channel=lambda _: channel)
    assert isinstance(made, Gs014Module)
    made = make_module("a-b", SimulatedSettings(), SystemClock(), channel=lambda _: channel)
    assert isinstance(made, SimulatedModule)
    assert make_module("a-b", SimulatedSettings(), SystemClock(), channel=lambda _: None) is None
