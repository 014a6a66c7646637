"""The running gateway's HTTP API, for the commands that work beside it."""

from dataclasses import dataclass
from typing import Any, Final, Self

import httpx

from enms.running import beside
from enms.secret_files import SecretFiles
from enms.settings import Settings

FIRST_USER: Final = "admin"
"""The user `enms up` makes at its first start."""


class ApiError(RuntimeError):
    """The gateway did not do it; the message says why and how to go on."""


@dataclass(frozen=True, slots=True)
class Api:
    """Calls with the token that only those who can read the data folder have."""

    url: str
    token: str

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the API of the gateway that runs with these settings' data folder.

        Raises ApiError where the folder cannot be read.
        """
        url = beside(settings).http_url
        try:
            token = SecretFiles(settings.data_dir).read("token-cli")
        except OSError as error:
            msg = (
                f"{error.filename} cannot be read ({error.strerror}); start `enms up`, or give the folder it "
                "runs with by --data-dir"
            )
            raise ApiError(msg) from error
        return cls(url, token)

    async def get(self, path: str) -> Any:
        """Return the answer to a GET under /api/v1. Raises ApiError."""
        return await self._call("GET", path)

    async def post(self, path: str, body: object) -> Any:
        """Return the answer to a POST under /api/v1. Raises ApiError."""
        return await self._call("POST", path, body)

    async def delete(self, path: str) -> None:
        """Delete under /api/v1. Raises ApiError."""
        await self._call("DELETE", path)

    async def _call(self, method: str, path: str, body: object = None) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"}
        try:
            async with httpx.AsyncClient(timeout=15, trust_env=False) as client:
                answer = await client.request(method, f"{self.url}/api/v1/{path}", json=body, headers=headers)
        except httpx.HTTPError as error:
            msg = (
                f"no gateway answers at {self.url} ({error}); start it with `enms up`, or give its --data-dir"
            )
            raise ApiError(msg) from error
        if answer.is_error:
            raise ApiError(_detail(answer))
        return answer.json() if answer.content else None


def _detail(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"the gateway answered {answer.status_code}"
