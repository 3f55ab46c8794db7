"""chiasm report: runs and sweeps as one page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jsonargparse import Namespace

from chiasm.cli._parser import Parser, output_file

HELP = "runs and sweeps as one page"


def parser(argv: Sequence[str]) -> Parser:
    """What may be given."""
    parser = Parser(
        usage="chiasm report RUN_OR_SWEEP ... [-o FILE]",
        description="Runs and sweeps as one page that needs no network, and its figures beside it.",
    )
    parser.add_argument("paths", type=Path, nargs="+", metavar="RUN_OR_SWEEP", help="folders of runs or sweeps")
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("report.html"), metavar="FILE", help="the page to write"
    )
    return parser


def run(options: Namespace) -> None:
    """Write the page and its figures."""
    output = output_file(options.output, ".html", ".htm")
    from chiasm.report import make_report

    for path in make_report(options.paths, output):
        print(path)
