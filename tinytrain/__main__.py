"""Runs the command `tinytrain` as `python -m tinytrain`."""

from tinytrain.cli.main import main

if __name__ == "__main__":
    main()
