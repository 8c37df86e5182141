"""The rules of `key-plane.md`, sans I/O: events in, effects out; `events.py` is the contract."""
