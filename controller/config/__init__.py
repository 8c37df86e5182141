"""Files to validated frozen values; every mistake with file, line and field."""
