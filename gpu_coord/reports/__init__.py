"""What do I hand to others? A run -> one page that needs no network."""
