"""What a run is asked to do: the typed keys, where their values come from, and the names that they can hold."""
