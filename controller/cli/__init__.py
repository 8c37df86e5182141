"""qinetctl: one file per command group."""
