"""Place an order: python place_order.py API KEY-FILE buy|sell KWH GRX-PER-KWH [SEGMENT]

The wallet's key signs the order on this machine; the server never has the key.
It needs `pip install 'gridtokenx[client]'`. SEGMENT is `realtime` (default) or `interval`.
"""

import sys
from pathlib import Path

from gridtokenx_client import Api, ApiProblem, Mistake, Wallet, new_id
from gridtokenx_wire import KeyFileError


def main(
    url: str, key_file: str, side: str, kwh: str, price: str, segment: str = "realtime"
) -> str:
    wallet = Wallet.load(Path(key_file))
    with Api(url) as api:
        # An order carries the community's name and its time, so that it can be used nowhere else.
        signed = wallet.order_of(
            api.health(),
            id_=new_id(),
            side=side,
            quantity_kwh=kwh,
            price_grx_per_kwh=price,
            segment=segment,
        )
        # `place` sends the same bytes again when no answer arrives; the server carries them out
        # once and answers each time as it did the first time.
        placed = api.place(signed)
    lines = [f"order {placed.order}: {placed.status}, {placed.remaining_kwh} kWh open"]
    lines += [
        f"  traded {trade.quantity_kwh} kWh at {trade.price_grx_per_kwh} GRX/kWh"
        for trade in placed.trades
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    if len(sys.argv) not in {6, 7}:
        sys.exit(__doc__)
    try:
        print(main(*sys.argv[1:]))
    except (ApiProblem, KeyFileError, Mistake) as problem:
        sys.exit(f"place_order: {problem}")
