"""Logic around a call, as providers that wrap providers."""
