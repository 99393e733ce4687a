"""A page in the browser: paint over an object, and the hole is filled.

    inpaint serve
    inpaint serve --port=9000 --model=zoom_to_inpaint --weights=W

The page is on http://127.0.0.1:8080 for this computer alone. --host=0.0.0.0 lets others on the network use it: there is
no password. The same over HTTP, for programs: POST /v1/inpaint. docs/serving.md says more. Ctrl-C ends it and deletes
the photographs. Exit code: 0 ended, 1 failed, 2 wrong flags.
"""

from __future__ import annotations

import ipaddress
import socket
import sys

import numpy as np
from absl import flags

from common import environment
from common.errors import UsageError, UserError
from inpainting import painters
from inpainting.serve.uploads import Limits

FLAGS = flags.FLAGS
_NEEDED = {"starlette": "starlette", "uvicorn": "uvicorn", "python_multipart": "python-multipart"}
_SECONDS_TO_END = 3  # for running requests, when the server ends
_WARM_UP = 256  # side of the first image in pixels


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens at a host and port.

    Raises:
      UserError: the port is taken, or the host is not one of this computer.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen()  # now, so that whoever reads the address is not refused
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"cannot listen at {host}, port {port}: {reason}; try another --port or --host"
        ) from error
    return bound


def is_local(address: str) -> bool:
    """Whether only this computer reaches an address."""
    return ipaddress.ip_address(address.split("%")[0]).is_loopback


def prepare() -> None:
    """Checks the environment and defines the flags."""
    environment.check()
    flags.DEFINE_string(
        "host", "127.0.0.1", "address to listen at; 0.0.0.0: reachable from outside"
    )
    flags.DEFINE_integer("port", 8080, "0: any free port", lower_bound=0, upper_bound=65535)
    flags.DEFINE_string("model", "hifill", "model that the page offers first")
    flags.DEFINE_string("weights", None, "weights of --model; default: the package's own")
    flags.DEFINE_float("max_megabytes", Limits.megabytes, "largest file", lower_bound=0.001)
    flags.DEFINE_float("max_megapixels", Limits.megapixels, "largest photograph", lower_bound=0.001)


def main(_) -> int:
    """Serves until Ctrl-C."""
    environment.check_installed("serving", _NEEDED, "web")
    from inpainting.serve import app

    if FLAGS.model not in app.MODELS:
        raise UsageError(
            f"--model={FLAGS.model} is not offered; choose one of {', '.join(app.MODELS)}"
        )
    painters.check_network(FLAGS.model, FLAGS.weights)
    painters.check_weights(FLAGS.model, FLAGS.weights)
    bound = listen(FLAGS.host, FLAGS.port)
    address, port = bound.getsockname()[:2]
    local = is_local(address)
    shown = "127.0.0.1" if ipaddress.ip_address(address).is_unspecified else address
    print(
        f"Open http://{f'[{shown}]' if ':' in shown else shown}:{port} in a browser; Ctrl-C ends it",
        flush=True,
    )
    if not local:
        print("others on the network reach it too, without a password", file=sys.stderr)
    weights = {FLAGS.model: FLAGS.weights}
    _serve(bound, app, local, lambda name: painters.painter(name, weights.get(name)))
    return 0


def warm_up(workers, model: str) -> None:
    """Loads and traces a network while the user opens a photograph, so that the first fill is faster.

    workers: `jobs.Workers`.
    """
    image = np.zeros((_WARM_UP, _WARM_UP, 3), np.uint8)
    mask = np.zeros((_WARM_UP, _WARM_UP), np.uint8)
    mask[_WARM_UP // 2, _WARM_UP // 2] = 1
    workers.submit(model, lambda paint, _: paint(image, mask))


def _serve(bound, app, local, painter):
    import uvicorn

    limits = Limits(FLAGS.max_megabytes, FLAGS.max_megapixels)
    service = app.Service(painter, FLAGS.model, limits)
    if FLAGS.model in painters.MODELS:
        warm_up(service.workers, FLAGS.model)
    config = uvicorn.Config(
        service.app(local),
        log_level="warning",
        access_log=False,  # addresses hold the photographs' ids
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_SECONDS_TO_END,
    )
    try:
        uvicorn.Server(config).run(sockets=[bound])
    except KeyboardInterrupt:  # which uvicorn raises once more when it has ended
        pass
    finally:
        service.store.close()
