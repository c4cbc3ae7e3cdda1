"""Steps: the calls of a version, their order and their data."""
