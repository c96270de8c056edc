"""Measured against the floor and against peers, as ratios within one run."""
