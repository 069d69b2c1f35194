"""What `tinytrain predict` is made of: the model that is asked, the pictures, and what is told and drawn of each."""
