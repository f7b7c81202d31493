"""`compare split-mnist`: five tasks of two digits, one after the other, and what is left of each."""
