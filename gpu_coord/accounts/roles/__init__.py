"""A run -> the part that each account plays."""
