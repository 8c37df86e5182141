"""The operators' gRPC API: translates; every decision is the writer's."""
