"""Every table and figure of both papers as a command: `python studies/run.py --list`."""
