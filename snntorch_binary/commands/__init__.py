"""Commands of the command line that need no training: `export` and `summary`, one a file."""
