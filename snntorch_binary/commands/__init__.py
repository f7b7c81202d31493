"""Commands of the command line, one a file: `predict`, `export`, `summary` and `tune`."""
