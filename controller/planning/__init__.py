"""From services and topology to what each node must be told. Pure."""
