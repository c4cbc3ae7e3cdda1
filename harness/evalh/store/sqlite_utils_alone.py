"""sqlite_utils without numpy and pandas.

It imports both where they are installed, to know their types: 0.1 s before the first request of a new workspace, for
values that no migration of ours holds.
"""

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlite_utils import Database, Migrations
else:
    _TYPES_ONLY = [name for name in ("numpy", "pandas") if name not in sys.modules]
    for _name in _TYPES_ONLY:
        sys.modules[_name] = None  # Python's own way to say "not installed"
    try:
        from sqlite_utils import Database, Migrations
    finally:
        for _name in _TYPES_ONLY:
            del sys.modules[_name]

__all__ = ["Database", "Migrations"]
