"""Neurons, one kind a file: the module, and the description that all others read."""
