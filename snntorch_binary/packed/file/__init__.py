"""Packed networks as files: what every entry has, the entries of layers, neurons and networks, saving and loading."""
