"""The composition root: puts the rooms of the hub together and serves them."""
