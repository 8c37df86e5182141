"""QKD modules: the port that every driver implements, and the drivers."""
