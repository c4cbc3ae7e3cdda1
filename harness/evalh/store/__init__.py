"""The one SQLite file: migrations, the writer, the readers."""
