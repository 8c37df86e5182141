"""Controller apps: an event and a snapshot in, commands out. Pure."""
