"""Files of archives -> a store."""
