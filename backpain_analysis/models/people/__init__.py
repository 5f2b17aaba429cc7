"""Models of participants over time."""
