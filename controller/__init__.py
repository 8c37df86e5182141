"""The Qinet controller: decides for QKD and entanglement networks, and pushes what it decided."""
