"""qinet-agent: the command line of the node agent."""

import os

# gRPC writes to stderr by itself what we tell in words of our own. It reads this when it is imported.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
