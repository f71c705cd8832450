"""Debian 12 as an archive or a folder, with the certificates that this machine trusts."""

import subprocess
from pathlib import Path

# Programs in it then trust what this machine trusts, such as a proxy that inspects TLS; ca-certificates(8).
CERTIFICATES = (
    'mkdir -p "$1/etc/ssl/certs" "$1/usr/local/share/ca-certificates"; '
    'cp /etc/ssl/certs/ca-certificates.crt "$1/etc/ssl/certs/"; '
    'find /usr/local/share/ca-certificates -name "*.crt" -exec cp {} "$1/usr/local/share/ca-certificates/" ";"'
)


def bootstrap(target: Path, *packages: str) -> None:
    """Make a Debian at `target`, which is a folder or, with a name in `.tar`, an archive.

    Like the images called `slim`, it has no manuals, and `usr-is-merged` instead of a script that needs Perl.
    """
    unread = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "info", "locale", "man")]
    command = ["mmdebstrap", "-q", "--variant=apt", *unread, f"--customize-hook={CERTIFICATES}"]
    command.append(f"--include={','.join(['usr-is-merged', *packages])}")
    done = subprocess.run([*command, "bookworm", str(target)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-5000:]
