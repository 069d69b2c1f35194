"""`tinytrain report`: one HTML file about one run or several. `write.report` is where it begins."""
