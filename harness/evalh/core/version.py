"""The version. It is in core because everything may import it; the build reads it from here."""

__version__ = "0.1.0"
