"""Compiles kernels and keeps the result, so that a controller's start only loads it: part of `make install`.

Arguments are patterns of modules, as `pairs_*`; a leading `!` means all others. Without any, all are compiled.
"""

import importlib
import pkgutil
import sys
from fnmatch import fnmatchcase

from controller.routing import kernels


def main(patterns: list[str]) -> None:
    """Import the modules that match: each compiles what it defines, and what it imports."""
    for module in pkgutil.iter_modules(kernels.__path__):
        if module.name != "__main__" and all(_matches(module.name, pattern) for pattern in patterns):
            importlib.import_module(f"{kernels.__name__}.{module.name}")


def _matches(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern.removeprefix("!")) != pattern.startswith("!")


main(sys.argv[1:])
