"""How did it spread? Timelines, cascades, platforms, catalysts."""
