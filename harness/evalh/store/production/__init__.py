"""What was traced, in a file of its own: `production.db`, and the lines of running programs that are not in it yet.

It is not the log of tests: its rows would answer tests' look-ups, be counted by every total, and could not be deleted
by age.
"""

from evalh.store.production.reader import ProductionReader
from evalh.store.production.writer import Merged, PriceOf, ProductionWriter

__all__ = ["Merged", "PriceOf", "ProductionReader", "ProductionWriter"]
