"""The reference node agent: sans-I/O rules under a thin shell."""
