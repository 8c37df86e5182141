"""Runs the works that the modules of a package measure, and prints JSON lines as they come and one table at the end."""

import importlib
import pkgutil
import sys
from collections.abc import Callable, Iterator
from types import ModuleType

from rich.console import Console
from rich.table import Table

from tests.bench.line import tell
from tests.chaos.interrupt import closes_on_signals

Works = dict[str, Callable[[], Iterator[dict[str, object]]]]
"""What a module of the package calls `WORKS`: by name, what yields lines of a comparison."""


def works_in(package: ModuleType) -> Works:
    """Return the works of all modules of a package, in the order of their modules' names."""
    found: Works = {}
    for module in pkgutil.iter_modules(package.__path__):
        if module.name != "__main__":
            found |= getattr(importlib.import_module(f"{package.__name__}.{module.name}"), "WORKS", {})
    return found


def main(package: ModuleType, left_out: frozenset[str] = frozenset()) -> int:
    """Measure the works named on the command line, or all but those left out, and return the exit code."""
    closes_on_signals()
    works = works_in(package)
    names = sys.argv[1:] or [name for name in works if name not in left_out]
    unknown = [name for name in names if name not in works]
    if unknown:
        print(f"no work is called {', '.join(unknown)}; there are {', '.join(works)}", file=sys.stderr)
        return 2
    table = Table("work", "ours", "unit", "peer", "theirs", "ratio")
    for name in names:
        for line in works[name]():
            tell(line)
            table.add_row(*(str(line[column]) for column in ("work", "ours", "unit", "peer", "theirs", "ratio")))
    Console(stderr=True, width=160).print(table)
    return 0
