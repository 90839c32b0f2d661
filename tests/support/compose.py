"""deploy/compose.yaml without Docker: its services run this machine's programs, but otherwise as the file says.

A service gets the command, environment, user, mounts, secrets and host names that Compose would give it, on a root file
system of its own, in a network that all services share. In place of the images there are the programs of this machine,
and what the Dockerfiles of deploy/ copy and set. The images themselves, limits, restarts and the order of starts remain
untested.
"""

import contextlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.support import ROOT
from tests.support.image import Image, build
from tools import postgres, processes, valkey_server

DEPLOY = ROOT / "deploy"
_LOOPBACK_UP = """
import fcntl, socket, struct, time
fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sH14x", b"lo", 0x1))  # SIOCSIFFLAGS, IFF_UP
print("up", flush=True)
time.sleep(3600)
"""
# The part of the postgres image's entrypoint that concerns our files.
_POSTGRES_ENTRYPOINT = """
set -eu
export PGDATA=/var/lib/postgresql/18/docker POSTGRES_USER=postgres
initdb --encoding=UTF8 --locale=C --username=postgres --pwfile="$POSTGRES_PASSWORD_FILE" \\
    --auth-local=trust --auth-host=scram-sha-256 > /dev/null
pg_ctl --options="-c listen_addresses=''" --wait start
psql --username=postgres --dbname=postgres --command="CREATE DATABASE $POSTGRES_DB"
for file in /docker-entrypoint-initdb.d/*; do
    case $file in
        *.sh) . "$file" ;;
        *.sql) psql --set=ON_ERROR_STOP=1 --username=postgres --dbname="$POSTGRES_DB" --file="$file" ;;
    esac
done
pg_ctl --mode=fast --wait stop
exec "$@" -c listen_addresses='*'
"""


IMAGES = {
    "prometheus": Image("65534:65534", entrypoint=["/usr/bin/prometheus"]),
    "postgres": Image(
        "999:999",
        str(Path(postgres.program("postgres")).resolve().parent),
        entrypoint=["/bin/bash", "-c", _POSTGRES_ENTRYPOINT, "bash"],
    ),
    "valkey": Image("999:1000", str(Path(valkey_server.program()).resolve().parent)),
}


class Compose:
    """The services of the file, started one by one, and their shared volumes."""

    def __init__(
        self, folder: Path, secrets: Path, environ: Mapping[str, str], files: Sequence[str] = ("compose.yaml",)
    ) -> None:
        self.folder = folder
        self.file = read_files(environ, *files)
        self._secrets = secrets
        self._built: dict[Path, Image] = {}
        self._parts = contextlib.ExitStack()
        network = processes.start(["unshare", "--net", sys.executable, "-c", _LOOPBACK_UP], stdout=subprocess.PIPE)
        self._parts.callback(processes.end, network)
        assert network.stdout
        self._parts.enter_context(network.stdout).readline()
        self._network = f"--net=/proc/{network.pid}/ns/net"
        users = {line.split(":")[0] for line in map(self._user, self.file["services"])}
        (folder / "passwd").write_text("".join(f"user{uid}:x:{uid}:{uid}::/tmp:/bin/sh\n" for uid in {"0", *users}))
        (folder / "hosts").write_text(f"127.0.0.1 localhost {' '.join(self.file['services'])}\n")
        for name, volume in self.file["volumes"].items():
            self._make_volume(name, volume or {})

    def start(self, name: str, *arguments: str, mounts: Mapping[str, Path] = {}) -> subprocess.Popen[bytes]:
        """Start a service; `arguments` are appended to its command."""
        log = self._parts.enter_context((self.folder / f"{name}.log").open("ab"))
        # As Docker does, so that /dev/stdout can be opened.
        os.fchown(log.fileno(), *map(int, self._user(name).split(":")))
        service, image = self.file["services"][name], self._image(name)
        argv = [*service.get("entrypoint", image.entrypoint), *service.get("command", image.command), *arguments]
        process = processes.start(self._command(name, argv, mounts), stdout=log, stderr=log)
        self._parts.callback(processes.end, process)
        return process

    def run(self, name: str, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run another command in the service's container to its end."""
        return subprocess.run(
            self._command(name, argv, {}),
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
            stdin=subprocess.DEVNULL,
        )

    def is_healthy(self, name: str) -> bool:
        """Return whether the service's health check passes."""
        kind, *argv = self.file["services"][name]["healthcheck"]["test"]
        assert kind == "CMD"
        return self.run(name, *argv).returncode == 0

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def close(self) -> None:
        self._parts.close()

    def _command(self, name: str, argv: Sequence[str], mounts: Mapping[str, Path]) -> list[str]:
        service, image = self.file["services"][name], self._image(name)
        root = self.folder / "root"
        root.mkdir(exist_ok=True)
        files = {
            **_machine(),
            **image.files,
            "/etc/passwd": self.folder / "passwd",
            "/etc/hosts": self.folder / "hosts",
        }
        for volume in service.get("volumes", []):
            source, target = volume.split(":")[:2]
            files[target] = DEPLOY / source if source.startswith(".") else self.folder / "volumes" / source
        for secret in service.get("secrets", []):
            files[f"/run/secrets/{secret}"] = self._secrets / Path(self.file["secrets"][secret]["file"]).name
        uid, gid = self._user(name).split(":")
        variables = {
            "PATH": f"{image.path}:/usr/sbin:/usr/bin:/sbin:/bin".lstrip(":"),
            **service.get("environment", {}),
        }
        script = [
            "set -e",
            f"mount -t tmpfs -o mode=0755 tmpfs {root}",
            f"cd {root}",
            "mkdir tmp proc dev",
            "ln -s usr/bin bin; ln -s usr/sbin sbin; ln -s usr/lib lib; ln -s usr/lib64 lib64",
            "mount --rbind /proc proc; mount --rbind /dev dev",
            f"mount --bind {shlex.quote(str(self._temporary_folder(name)))} tmp",
        ]
        for target, source in {**files, **mounts}.items():
            place = shlex.quote(target.lstrip("/"))
            make = f"mkdir -p {place}" if source.is_dir() else f"mkdir -p $(dirname {place}); touch {place}"
            script.append(f"{make}; mount --bind {shlex.quote(str(source))} {place}")
        if service.get("read_only"):
            script.append(f"mount -o remount,ro {root}")
        drop = ["--bounding-set=-all", "--inh-caps=-all"] if service.get("cap_drop") == ["ALL"] else []
        drop += ["--no-new-privs"] if "no-new-privileges:true" in service.get("security_opt", []) else []
        inside = ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", *drop]
        inside += [
            "env",
            "-i",
            f"--chdir={image.workdir}",
            *(f"{key}={value}" for key, value in variables.items()),
            *argv,
        ]
        script.append(f"exec chroot {root} {shlex.join(inside)}")
        return ["nsenter", self._network, "unshare", "--mount", "sh", "-c", "\n".join(script)]

    def _temporary_folder(self, name: str) -> Path:
        """Return the folder for /tmp of a service, which the commands run beside it share."""
        folder = self.folder / "tmp" / name
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o1777)
        return folder

    def _user(self, name: str) -> str:
        return str(self.file["services"][name].get("user", self._image(name).user))

    def _image(self, name: str) -> Image:
        source = self.file["services"][name].get("build")
        if not source:
            return IMAGES.get(name, Image("0:0"))
        context = (DEPLOY / source["context"]).resolve()
        dockerfile = context / source["dockerfile"]
        # Copied once: a service that runs reads these files.
        if dockerfile not in self._built:
            self._built[dockerfile] = build(dockerfile, context, self.folder / "image" / dockerfile.name)
        return self._built[dockerfile]

    def _make_volume(self, name: str, volume: dict[str, Any]) -> None:
        """Make a named volume; without options it belongs to the user of the first image that mounts it."""
        folder = self.folder / "volumes" / name
        folder.mkdir(parents=True)
        options = dict(o.split("=") for o in volume.get("driver_opts", {}).get("o", "").split(",") if o)
        owners = [self._user(s) for s, service in self.file["services"].items() if _mounts(service, name)]
        uid, gid = (int(part) for part in owners[0].split(":"))
        os.chown(folder, int(options.get("uid", uid)), int(options.get("gid", gid)))
        folder.chmod(int(options.get("mode", "0755"), 8))


def read_files(environ: Mapping[str, str], *names: str) -> dict[str, Any]:
    """Merge these files of deploy/ and fill in ${NAME:-default}, as Compose does."""

    def fill_in(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: fill_in(part) for key, part in value.items()}
        if isinstance(value, list):
            return [fill_in(part) for part in value]
        if isinstance(value, str):
            filled_in = re.sub(r"\$\{(\w+):-([^}]*)\}", lambda match: environ.get(match[1]) or match[2], value)
            assert "$" not in filled_in.replace("$$", ""), "only ${NAME:-default} is known here"
            return filled_in.replace("$$", "$")
        return value

    merged: dict[str, Any] = {}
    for name in names:
        merged = _merged(merged, fill_in(yaml.safe_load((DEPLOY / name).read_text())))
    return merged


def _merged(first: Any, second: Any) -> Any:
    if isinstance(first, dict) and isinstance(second, dict):
        return first | {key: _merged(first.get(key), value) for key, value in second.items()}
    if isinstance(first, list) and isinstance(second, list):
        return [*first, *second]
    return second


def _mounts(service: dict[str, Any], volume: str) -> bool:
    return any(mount.split(":")[0] == volume for mount in service.get("volumes", []))


def _machine() -> dict[str, Path]:
    """Return the parts of this machine that replace those of an image: programs, libraries and Python."""
    known = ["/usr", "/etc/group", "/etc/nsswitch.conf", "/etc/ld.so.cache", sys.base_prefix]
    known += [str(Path(sys.prefix).resolve())]
    return {path: Path(path) for path in known if Path(path).exists()}
