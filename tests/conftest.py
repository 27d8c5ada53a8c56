"""What every test has: the fixture `workflows`, with the real engine on a virtual clock."""

pytest_plugins = ["workflows.testing.plugin"]
