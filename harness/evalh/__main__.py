"""`python -m evalh`."""

from evalh.cli import main

if __name__ == "__main__":
    main()
