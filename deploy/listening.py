"""Open nginx's listening socket with an option that nginx has no word for, then become nginx: `make stack`.

TCP_NOTSENT_LOWAT: the kernel takes no more bytes from nginx while so many wait to be sent. nginx inherits the sockets
that its environment names (`NGINX`), and accepted sockets inherit the option. A host sets it by deploy/sysctl.d, and
its nginx opens the sockets itself. Sources: tcp(7); nginx, src/core/nginx.c, ngx_add_inherited_sockets.
"""

import os
import socket
import sys

NOTSENT_LOWAT = 131072  # bytes; deploy/sysctl.d/vimeo_api.conf says why


def main() -> None:
    """Listen as `--listen ADDRESS:PORT` says, and replace this process by the command after `--`."""
    address, command = sys.argv[2], sys.argv[4:]
    host, _, port = address.rpartition(":")
    listener = socket.socket(socket.AF_INET6 if host.startswith("[") else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, NOTSENT_LOWAT)
    listener.bind((host.strip("[]"), int(port)))
    listener.listen(511)  # nginx's default
    listener.settimeout(0)  # not blocking, as nginx opens its own; a worker would hang in accept() after a race
    listener.set_inheritable(True)
    os.environ["NGINX"] = f"{listener.fileno()};"
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
