"""A network as a graph over time: recorded, its T copies of a step folded into one, and proved beside the original."""
