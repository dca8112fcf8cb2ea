"""The hub's pages for people: rendered on the server, no script, no asset from elsewhere."""
