"""Dataset files: JSON Lines and CSV, indexed, read row by row."""
