"""Verdicts on the claims of the article this project began from."""
