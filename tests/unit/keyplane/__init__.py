"""The key plane, sans I/O."""
