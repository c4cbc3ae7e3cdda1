"""The same result as terminal text or JSON."""
