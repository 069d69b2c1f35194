"""The serial line to a board, a real one or one in the emulator."""
