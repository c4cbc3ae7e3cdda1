"""Services that keep traces: what they hold, asked over their API or read from their exports."""
