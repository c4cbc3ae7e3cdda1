"""Results as files: CSV, JSON, Markdown, JUnit."""
