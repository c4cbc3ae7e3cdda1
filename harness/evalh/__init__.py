"""evalh: versions, tests, a price and a merge gate for prompts."""
