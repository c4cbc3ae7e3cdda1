"""Graders: a registry and one module per family."""
