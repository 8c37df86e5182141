"""Names and certificates: who a peer is, TLS credentials, the lab CA."""
