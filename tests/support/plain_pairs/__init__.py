"""The searches of entanglement routes in plain Python, as before there were kernels: an oracle, and a peer."""
