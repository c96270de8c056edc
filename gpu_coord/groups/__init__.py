"""Groups of accounts whose co-activity chance does not explain."""
