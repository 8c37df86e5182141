"""What all tests share: programs that pip does not install."""

import os
import shutil

import pytest


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test that needs an absent program, by the program's name; fail it when CI says that all are there."""
    for marker in item.iter_markers("needs"):
        (program,) = marker.args
        if shutil.which(program) is None:
            if os.environ.get("CI") == "true":
                pytest.fail(f"{program} is not installed, and CI=true promises that it is", pytrace=False)
            pytest.skip(f"needs {program}")
