"""`Request` to the wire and back to `Completion`."""
