"""Graders that ask a model, and how its replies are read."""
