"""`python -m evalh`."""

import sys

if __name__ == "__main__":
    if not sys.flags.safe_path:
        del sys.path[0]  # the folder in which it is started: a checkout may hold a stranger's click.py
    from evalh.cli import main

    main()
