"""The command `gridtokenx`.

Exit codes: 0 done, 1 refused or unreachable, 2 what the user can mend (an option, an amount, a
file). An error is one line on stderr.
"""

from __future__ import annotations

import sys
from typing import NoReturn

from gridtokenx_terminal.program import begin, end_for_file, end_without
from gridtokenx_wire.errors import KeyFileError

REFUSED = 1
USER_MISTAKE = 2
_NAME = "gridtokenx"

try:
    import typer

    from gridtokenx_client.cli.certificates import rec_app
    from gridtokenx_client.cli.energy import energy
    from gridtokenx_client.cli.orders import order_app
    from gridtokenx_client.cli.statement import statement
    from gridtokenx_client.cli.verification import verify_app
    from gridtokenx_client.cli.version_option import VersionOption
    from gridtokenx_client.cli.wallet import wallet_app
    from gridtokenx_client.problem import ApiProblem, Mistake, one_line
except ModuleNotFoundError as missing:
    end_without(_NAME, "client", missing)

INTERRUPTED = 130

app = typer.Typer(
    name="gridtokenx",
    help="Use the wallet, the orders and the proofs of an energy community.",
    epilog="Example: gridtokenx wallet balance",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def _options(*, _version: VersionOption = False) -> None:
    """Take the options of the command itself."""


app.add_typer(wallet_app, name="wallet")
app.add_typer(order_app, name="order")
app.add_typer(rec_app, name="rec")
app.add_typer(verify_app, name="verify")
app.command(epilog="Example: gridtokenx energy EASTRON-12345678 --day 2026-06-21 --key anna.key")(
    energy
)
app.command(epilog="Example: gridtokenx statement 2026-06 --key anna.key")(statement)


def main() -> None:
    """Run the command; what a user can mend is one line on stderr."""
    begin(_NAME)
    try:
        status = app(standalone_mode=False)
    except typer.TyperException as error:
        if not error.format_message():  # no command was given, and the help has been printed
            sys.exit(USER_MISTAKE)
        _fail(error.format_message(), USER_MISTAKE)
    except (Mistake, KeyFileError) as error:
        _fail(str(error), USER_MISTAKE)
    except ApiProblem as error:
        _fail(str(error), REFUSED)
    except OSError as error:
        end_for_file(_NAME, error)
    except ModuleNotFoundError as missing:  # some are imported by the command that needs them
        end_without(_NAME, "client", missing)
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(INTERRUPTED)
    sys.exit(status)


def _fail(text: str, code: int) -> NoReturn:
    sys.stderr.write(f"gridtokenx: {one_line(text)}\n")
    sys.exit(code)


if __name__ == "__main__":
    main()
