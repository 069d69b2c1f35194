"""`tinytrain report`: one HTML file about one run or several. It starts in `page.render`."""
