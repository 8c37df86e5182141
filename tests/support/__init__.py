"""What tests share: virtual worlds, free ports, certificates."""
