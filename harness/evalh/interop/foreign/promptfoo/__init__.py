"""promptfoo configs: prompts, providers, tests and assertions, as the program itself reads them."""
