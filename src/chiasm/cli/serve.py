"""chiasm serve: a page to mix, train, judge and describe models."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from jsonargparse import Namespace

from chiasm.cli._parser import Parser
from chiasm.config import ConfigError

HELP = "a page to mix and to train in the browser"


def parser(argv: Sequence[str]) -> Parser:
    """What may be given."""
    parser = Parser(
        usage="chiasm serve [RUN_OR_FOLDER_OF_RUNS] [options]",
        description="A page to mix, train, judge and describe models in the browser of this machine.",
    )
    parser.add_argument(
        "path",
        type=Path,
        nargs="?",
        default=Path("runs"),
        metavar="RUN_OR_FOLDER_OF_RUNS",
        help="what to show; trains into the same folder",
    )
    parser.add_argument("--port", type=int, default=7860, help="0 for any free one")
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 lets everybody on the network use the page")
    return parser


def run(options: Namespace) -> None:
    """Serve the page until it is interrupted."""
    if importlib.util.find_spec("gradio") is None:
        raise ConfigError("serve: gradio is not installed here; pip install 'chiasm[web]'")
    from chiasm.web import serve

    serve(options.path, host=options.host, port=options.port)
