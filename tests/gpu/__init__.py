"""What is checked by hand on a machine with a GPU; no part of CI but for its dry mode."""
