"""Routes of entanglement paths: exact where a method is known, else with a bound and the gap."""
