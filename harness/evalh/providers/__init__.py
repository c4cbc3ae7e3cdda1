"""`core.Request` to the wire and back to `core.Completion`."""
