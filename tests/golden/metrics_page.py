"""The generated part of docs/metrics.md, and the list of families: from a registry in which everything has a value."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric


def families(registry: CollectorRegistry) -> list[Metric]:
    """Return every family, by name."""
    return sorted(registry.collect(), key=lambda family: family.name)


def exposed_name(family: Metric) -> str:
    """Return the name under which Prometheus knows the family."""
    return f"{family.name}_total" if family.type == "counter" else family.name


def label_names(family: Metric) -> list[str]:
    """Return the labels of a family's samples, but for a histogram's own."""
    return list(dict.fromkeys(name for sample in family.samples for name in sample.labels if name != "le"))


def bounds(family: Metric) -> list[str]:
    """Return the upper bounds of a histogram's buckets."""
    return list(dict.fromkeys(sample.labels["le"] for sample in family.samples if "le" in sample.labels))


def listed(found: Iterable[Metric]) -> str:
    """Return one line for each family: name, type, labels, bounds. Names and labels are API."""
    lines = []
    for family in found:
        labels = ",".join(label_names(family))
        le = f" le={','.join(bounds(family))}" if family.type == "histogram" else ""
        lines.append(f"{exposed_name(family)} {family.type}{{{labels}}}{le}")
    return "\n".join(lines) + "\n"


def table(found: Iterable[Metric]) -> str:
    """Return the families as a table for people."""
    rows = ["| metric | type | labels | meaning |", "|---|---|---|---|"]
    for family in found:
        labels = ", ".join(f"`{name}`" for name in label_names(family))
        rows.append(f"| `{exposed_name(family)}` | {family.type} | {labels} | {family.documentation} |")
    return "\n".join(rows)
