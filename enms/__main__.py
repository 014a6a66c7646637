"""`python -m enms` is the command `enms`."""

from enms.cli import app

app(prog_name="enms")
