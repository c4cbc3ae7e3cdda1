"""What a program imports to ask in production."""
