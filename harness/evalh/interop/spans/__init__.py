"""Spans that other programs sent, as records of production: one module reads each dialect."""
