"""Dose-response: curves, fit, result, comparison."""
