"""OpenAI Evals, the hosted product that was shut on 2026-11-30: what it exported."""
