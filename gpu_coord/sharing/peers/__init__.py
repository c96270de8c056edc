"""Sharing as other tools compute it, quirks included."""
