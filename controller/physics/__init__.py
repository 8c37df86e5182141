"""Pure formulas of photons and modules, each with its source."""
