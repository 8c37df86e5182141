"""Tell setuptools the two roots that setup.cfg cannot search: the folder itself and proto/gen."""

from setuptools import find_namespace_packages, find_packages, setup

setup(
    packages=[
        *find_packages(include=["controller*", "southbound*", "apps*"]),
        *find_namespace_packages("proto/gen", include=["qinet*"]),
    ],
    package_dir={"qinet": "proto/gen/qinet"},
    package_data={"qinet": ["**/*.pyi", "**/py.typed"], "controller": ["py.typed"], "southbound": ["py.typed"]},
)
