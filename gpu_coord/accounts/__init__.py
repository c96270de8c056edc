"""Who are they? Roles, cohorts, and what is behind two accounts."""
