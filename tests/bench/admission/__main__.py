"""Measures admission beside named peers: python -m tests.bench.admission [WORK ...]."""

import sys

from tests.bench import admission
from tests.bench.collected import main

sys.exit(main(admission))
