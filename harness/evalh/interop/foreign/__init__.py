"""Suites of other programs, read into files of a workspace. Nothing of them is run, fetched or asked."""
