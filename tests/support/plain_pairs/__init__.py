"""The searches of entanglement routes in plain Python, as they were before kernels: an oracle, and a peer to measure."""
