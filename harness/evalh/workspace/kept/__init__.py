"""Results and labels that are kept in git."""
