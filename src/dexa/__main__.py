"""``python -m dexa`` is the command ``dexa``."""

from dexa.cli import main

main()
