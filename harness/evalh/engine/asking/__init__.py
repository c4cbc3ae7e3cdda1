"""Asking a tested route in production: one question at a time, for as long as the program runs."""
