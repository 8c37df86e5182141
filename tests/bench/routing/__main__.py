"""Measures routing beside named peers: python -m tests.bench.routing [WORK ...]."""

import sys

from tests.bench import routing
from tests.bench.collected import main

sys.exit(main(routing, left_out=frozenset({"route-100000"})))
