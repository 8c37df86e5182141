"""Networks out of other people's files: read, understood, made into a topology file of ours."""
