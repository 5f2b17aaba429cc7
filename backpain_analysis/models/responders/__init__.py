"""How many people benefit: shares of responders and the number needed to treat."""
