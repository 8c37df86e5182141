"""Compiles every kernel and keeps the result, so that a controller's start only loads it: part of `make install`."""

import importlib
import pkgutil

from controller.routing import kernels


def main() -> None:
    """Import every module of kernels: each compiles what it defines."""
    for module in pkgutil.iter_modules(kernels.__path__):
        if module.name != "__main__":
            importlib.import_module(f"{kernels.__name__}.{module.name}")


main()
