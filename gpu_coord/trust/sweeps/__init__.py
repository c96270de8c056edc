"""Many settings -> what holds whatever is chosen."""
