"""What a quantum network is: frozen values and their rules. No I/O, no clock, no protobuf."""
