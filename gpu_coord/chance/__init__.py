"""Is it more than chance? Expected counts, tests, q-values, grades, effects."""
