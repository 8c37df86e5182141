"""Protobuf to domain and back, once, for every face, the agent and the store."""
