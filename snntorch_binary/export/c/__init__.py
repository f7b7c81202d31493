"""Packed networks as plain C for microcontrollers, exact to the bit."""
