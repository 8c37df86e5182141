"""Names, types and labels of metrics are API, and docs/metrics.md tells of each."""

from tests.golden.compare import FOLDER, expect, filled
from tests.golden.metrics_page import families, listed, table
from tests.support.metrics_world import populated_registry
from tests.support.pages import ROOT


def test_the_metrics_are_as_recorded() -> None:
    expect(FOLDER / "metrics.txt", listed(families(populated_registry())))


def test_the_metrics_page_is_what_the_registry_says() -> None:
    page = ROOT / "docs" / "metrics.md"
    expect(page, filled(page, metrics=table(families(populated_registry()))))


def test_every_family_has_a_value_so_that_its_labels_are_seen() -> None:
    assert [family.name for family in families(populated_registry()) if not family.samples] == []
