pytest_plugins = ["fixtures.broker", "fixtures.postgres"]
