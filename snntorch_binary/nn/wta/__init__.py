"""Winner-take-all networks: circuits, what they remember, and networks of them."""
