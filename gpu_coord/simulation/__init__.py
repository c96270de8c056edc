"""Archives with a planted operation, and the truth about them."""
