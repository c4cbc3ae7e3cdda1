"""Markdown: the comments on a pull request, a job's summary, the sheet of an import. Nothing in it is live there."""
