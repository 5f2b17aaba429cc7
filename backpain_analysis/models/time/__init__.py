"""Time: how fast an effect comes, and whether it lasts."""
