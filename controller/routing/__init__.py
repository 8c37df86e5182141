"""Demand and snapshot in; a route, or the reason and the bottleneck, out. Pure."""
