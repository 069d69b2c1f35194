"""The tables of the papers: what a file of them says, its scale, its cost, and the results beside it."""
