"""Edges -> components, communities, tables and files for other programs."""
