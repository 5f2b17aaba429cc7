"""From estimates to statements: sentences, certainty, verdicts, findings, claims, tables."""
