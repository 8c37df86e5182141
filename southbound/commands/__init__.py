"""The qinet-agent command line."""
