"""Verify a clearing: python verify_clearing.py API [INTERVAL-MS]

It fetches what the community published of an interval's auctions (by default the newest one's)
and computes everything again: book hash, curves, volume, price, welfare, trades and the flows
between zones. The exit code is 1 if anything differs.
It needs `pip install 'gridtokenx[client]'`; `gridtokenx verify clearing` does the same.
"""

import sys

from gridtokenx_client import Api, ApiProblem, Comparison, Mistake, check_auction, check_coupling


def comparisons(url: str, interval_ms: int | None) -> list[Comparison]:
    with Api(url) as api:
        if interval_ms is None:
            newest = api.clearings(limit=1).clearings
            if not newest:
                raise Mistake("expected an interval that was cleared, found none yet")
            interval_ms = newest[0].interval_ms
        clearings = [api.clearing(zone, interval_ms) for zone in api.zones_of(interval_ms)]
    compared = [each for clearing in clearings for each in check_auction(clearing)]
    if any(clearing.links for clearing in clearings):
        compared += check_coupling(clearings)
    return compared


if __name__ == "__main__":
    if len(sys.argv) not in {2, 3}:
        sys.exit(__doc__)
    try:
        compared = comparisons(sys.argv[1], int(sys.argv[2]) if sys.argv[2:] else None)
    except (ApiProblem, Mistake) as problem:
        sys.exit(f"verify_clearing: {problem}")
    for each in compared:
        said = "holds" if each.holds else f"differs: {each.published} is published"
        print(f"{each.zone}: {each.check}: {each.computed}: {said}")
    wrong = sum(not each.holds for each in compared)
    print(f"{len(compared)} checks, {wrong} differ")
    sys.exit(1 if wrong or not compared else 0)
