"""Sharing by a key instead of by price: who of a community used which part of its surplus.

The energy that is exported in an interval is allocated to the consumption of the same interval.
What the laws ask for, and the mode that does it:

- Austria, ElWOG 2010 § 16e (3) and § 16a (7): for each quarter of an hour; a consumer's part is
  either a share that was agreed (`static`; what of it is not used counts as fed in) or in
  proportion to the measured consumption (`dynamic`); it never exceeds the consumption.
- Germany, EnWG § 42b (5): what can be divided in 15 minutes is the smaller of what was generated
  and what all participants consumed, by the key of their contract, or equally if there is none.
- Spain, Real Decreto 244/2019, annex I, as changed by Orden TED/1247/2021: coefficients β for each
  consumer, constant (`static`) or for each hour and fixed in advance (`time_varying`); they add up
  to one, and what exceeds a consumer's own consumption is surplus.
- Italy, TIAD (ARERA 727/2022/R/eel): the shared energy is the smaller of what was fed in and what
  was withdrawn, for each hour and zone; `dynamic` allocates exactly that.
"""
