"""Who shares the same things within seconds? A store -> networks of sharing and co-action."""
