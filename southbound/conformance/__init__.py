"""Checks of any agent against the protocol, from outside: `qinet-agent conformance`."""
