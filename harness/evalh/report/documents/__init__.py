"""The `--json` documents: one declaration each, from which the text, the JSON Schema and the decoder are made."""
