"""Mosquitto as a private child: its folder, its configuration, the command that starts it."""

import json
import os
import pwd
import shutil
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from broker.dynsec import initial_config, load

PLUGIN: Final = "mosquitto_dynamic_security.so"
CONFIG: Final = "mosquitto.conf"
RULES: Final = "dynamic-security.json"
# Far above what ingest refuses (256 KiB): a broker that cuts the connection makes a source send the
# same message for ever, while ingest says what is wrong with it.
MAX_PACKET_BYTES: Final = 4 * 1024 * 1024
MAX_QUEUED: Final = 2_000_000
INFLIGHT: Final = 8000

_CONF: Final = """\
# Written by enms at every start; change it there.
per_listener_settings false
allow_anonymous false
plugin {plugin}
plugin_opt_config_file {folder}/{rules}
persistence true
persistence_location {folder}/
autosave_interval 1
max_queued_messages {queued}
max_queued_bytes 0
max_inflight_messages {inflight}
max_packet_size {packet}
set_tcp_nodelay true
log_dest stderr
log_type error
log_type warning
log_type notice
connection_messages false

listener {mqtt_port} {host}
use_username_as_clientid true

listener {ws_port} {host}
protocol websockets
{domain}
use_username_as_clientid true
"""


class MosquittoMissingError(RuntimeError):
    """Mosquitto or its dynamic-security plugin is not installed."""


@dataclass(frozen=True, slots=True)
class Mosquitto:
    """A private broker in `folder`. `host` is the IP address both listeners bind to.

    `plugin` is where the broker that will run has its dynamic-security plugin, empty to look for it here.
    """

    folder: Path
    host: str
    mqtt_port: int
    ws_port: int
    root: str = "enms"
    plugin: str = ""

    def prepare(self, passwords: Mapping[str, str]) -> None:
        """Write configuration and access rules; users added earlier are kept.

        Raises MosquittoMissingError, saying what to install.
        """
        plugin = self.plugin or str(find_plugin())
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._write(CONFIG, config_text(self, plugin))
        path = self.folder / RULES
        old = load(path.read_text()) if path.exists() else None
        self._write(RULES, json.dumps(initial_config(self.root, passwords, old), indent=1))
        self._give_to_broker_user()

    def command(self) -> list[str]:
        """Return the command line that runs the broker in the foreground."""
        return [find_program(), "-c", str(self.folder / CONFIG)]

    def ready(self) -> bool:
        """Whether both listeners take connections."""
        return all(answers(self.host, port) for port in (self.mqtt_port, self.ws_port))

    def _write(self, name: str, text: str) -> None:
        fresh = self.folder / f"{name}.new"
        fresh.touch(mode=0o600)
        fresh.write_text(text)
        fresh.replace(self.folder / name)

    def _give_to_broker_user(self) -> None:
        """Hand the folder to the user Mosquitto drops to when it is started as root."""
        if os.geteuid() != 0:
            return
        try:
            user = pwd.getpwnam("mosquitto")
        except KeyError:
            return
        for path in (self.folder, *self.folder.iterdir()):
            os.chown(path, user.pw_uid, user.pw_gid)


def config_text(broker: Mosquitto, plugin: str) -> str:
    """Return the text of mosquitto.conf."""
    return _CONF.format(
        plugin=plugin,
        folder=broker.folder,
        rules=RULES,
        queued=MAX_QUEUED,
        inflight=INFLIGHT,
        packet=MAX_PACKET_BYTES,
        mqtt_port=broker.mqtt_port,
        ws_port=broker.ws_port,
        # Without it Mosquitto 2.0 opens the WebSocket listener on every address there is.
        domain=f"socket_domain ipv{ip_address(broker.host).version}",
        host=broker.host,
    )


def find_program() -> str:
    """Return where mosquitto is; Debian puts it where a plain user's PATH does not look."""
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        msg = "Mosquitto is not installed; on Debian run: sudo apt-get install mosquitto"
        raise MosquittoMissingError(msg)
    return found


def find_plugin() -> Path:
    """Return where the dynamic-security plugin is."""
    find_program()
    for folder in ("/usr/lib", "/usr/local/lib"):
        for pattern in (PLUGIN, f"*/{PLUGIN}"):
            for path in sorted(Path(folder).glob(pattern)):
                return path
    msg = f"Mosquitto's {PLUGIN} was not found; Debian's package mosquitto brings it"
    raise MosquittoMissingError(msg)


def answers(host: str, port: int) -> bool:
    """Whether something takes TCP connections there."""
    try:
        socket.create_connection((host, port), timeout=0.5).close()
    except OSError:
        return False
    return True
