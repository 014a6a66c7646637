pytest_plugins = [
    "fixtures.broker",
    "fixtures.postgres",
    "fixtures.product",
    "fixtures.page",
    "fixtures.gateway",
]
