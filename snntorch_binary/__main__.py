"""`python -m snntorch_binary` is `snntorch-binary`."""

from snntorch_binary.cli import main

raise SystemExit(main())
