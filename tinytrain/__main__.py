"""`python -m tinytrain` is the command `tinytrain`."""

from tinytrain.cli.main import main

if __name__ == "__main__":
    main()
