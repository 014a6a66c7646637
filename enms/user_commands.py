"""`enms users …`: through the running gateway, which alone administers the broker."""

from rich.console import Console
from rich.table import Table

from enms.api import FIRST_USER, Api
from enms.settings import Settings


async def add(settings: Settings, name: str, role: str, machines: list[str]) -> None:
    """Add a user; the password is the last line printed. Raises ApiError."""
    made = await Api.of(settings).post("users", {"name": name, "role": role, "machines": machines})
    if name == FIRST_USER:
        (settings.data_dir / "secrets" / "first-login").unlink(missing_ok=True)
    console = Console(stderr=True)
    console.print(f"{name} is a {role} now; this password is shown once:")
    print(made["password"])  # noqa: T201  the last line of standard output is the password


async def show(settings: Settings) -> None:
    """Print the users. Raises ApiError."""
    table = Table("name", "role", "since")
    for one in (await Api.of(settings).get("users"))["users"]:
        table.add_row(one["name"], one["role"], one["created_at"])
    Console().print(table)


async def remove(settings: Settings, name: str) -> None:
    """Remove a user. Raises ApiError."""
    await Api.of(settings).delete(f"users/{name}")
    Console(stderr=True).print(f"{name} is removed")
