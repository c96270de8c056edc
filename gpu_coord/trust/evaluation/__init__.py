"""A run and a truth -> how well it was found."""
