"""From effect sizes to estimates; no prose. `engine/` is the one engine under every model."""
