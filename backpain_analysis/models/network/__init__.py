"""Network meta-analysis: which treatment, and at which dose."""
