"""From stored results to statements about them."""
