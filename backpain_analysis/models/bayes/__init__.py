"""Posteriors of the linear models, by exact integration over the heterogeneity."""
