"""The linear mixed model with known sampling covariance: likelihood, search, and what serves it."""
