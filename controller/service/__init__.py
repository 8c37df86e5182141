"""The shell around the core: inbox, writer and desks."""
