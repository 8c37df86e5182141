"""Key delivery to applications: the GS QKD 014 V1.1.1 server of a node."""
