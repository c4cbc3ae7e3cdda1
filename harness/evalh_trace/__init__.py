"""Record what a program's model calls did: workflows, steps, calls, attempts. `evalh.trace` is this package."""
