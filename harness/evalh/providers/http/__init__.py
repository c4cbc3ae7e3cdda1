"""The only HTTP of evalh: transports, egress, bodies, errors."""
