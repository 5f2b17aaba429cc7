"""Pooling, meta-regression and multilevel models of effect sizes, with their diagnostics."""
