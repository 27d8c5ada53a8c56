#!/usr/bin/env python
"""The command line of the site: `manage.py migrate`, `qcluster`, `dev` and the others."""

import os
import sys

from django.core.management import execute_from_command_line

from fsa_platform.environment import EnvironmentValueError


def main() -> None:
    """Run the command that the arguments name."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fsa_platform.settings")
    try:
        execute_from_command_line(sys.argv)
    except EnvironmentValueError as error:
        # Whoever starts the site can mend the environment; a traceback would only hide how.
        sys.exit(f"{sys.argv[0]}: {error}")


if __name__ == "__main__":
    main()
