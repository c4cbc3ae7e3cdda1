"""What a terminal shows, one module per verb."""
