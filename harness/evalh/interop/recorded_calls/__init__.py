"""Calls and workflows that other programs recorded, read from files of JSON Lines."""
