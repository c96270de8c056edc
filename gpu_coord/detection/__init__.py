"""Who acts after whom? A store -> the coordination network."""
