"""qinet-agent: the command line of the node agent."""

import os

# gRPC writes to stderr by itself, at its default level also about every connection that ends.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
