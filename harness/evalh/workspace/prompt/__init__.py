"""Prompt files: versions, templates, schemas, releases."""
