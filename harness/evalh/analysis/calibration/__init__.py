"""Judges against people: of one output, of two, of two versions, in a panel."""
