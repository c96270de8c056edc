"""A store -> active cells -> exact counts of pairs -> weights."""
