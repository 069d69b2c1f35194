"""Networks on a CPU: the runtimes of `tinytrain export --cpu`, each a module named as the flag names it."""
