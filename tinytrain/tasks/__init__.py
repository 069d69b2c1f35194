"""What a network is trained for, a package each."""
