"""A store and a truth -> which method finds it best."""
