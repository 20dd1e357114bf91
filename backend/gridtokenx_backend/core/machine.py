"""The community's state machine: `apply` decides everything, and nothing else does."""

from __future__ import annotations

from gridtokenx_backend.core.clearing import interval_clearing
from gridtokenx_backend.core.messages import inputs
from gridtokenx_backend.core.messages.loss_records import LossAccepted
from gridtokenx_backend.core.messages.outcomes import (
    DevicesRetired,
    FrameAccepted,
    OracleSwitched,
    OrderAccepted,
    OrderAmended,
    Outcome,
    Result,
    Ticked,
    is_journaled,
)
from gridtokenx_backend.core.messages.refused_frames import RefusedFrameInput
from gridtokenx_backend.core.minting import corrections, forks, held_energy, refused_frames
from gridtokenx_backend.core.minting.frames import apply_frame
from gridtokenx_backend.core.model.rules_version import RULES_VERSION
from gridtokenx_backend.core.model.settlement import (
    ConfirmWithdrawal,
    Correct,
    DecideHeld,
    Deposit,
    IssueCertificates,
    RefuseWithdrawal,
    SettlementCommand,
)
from gridtokenx_backend.core.oracle import intervals
from gridtokenx_backend.core.orders import standing_orders
from gridtokenx_backend.core.orders.instructions import apply_instruction, switch_market
from gridtokenx_backend.core.registration import community_time, configuration, enrolment
from gridtokenx_backend.core.settlement import certificates, deposits, periods, retirement
from gridtokenx_backend.core.sharing import grid_data_import
from gridtokenx_backend.core.state.community import Community


def apply(
    community: Community, input_: inputs.Input, at_ms: int, rules: int = RULES_VERSION
) -> Result:
    """Carry out one input at the time `at_ms` and return its outcome.

    Time never runs backwards but by the operator's word, a ClockInput.

    A refusal or a repetition changes nothing and is not journaled. Any other outcome becomes the
    journal's entry number `community.entries`. `rules` is the version of the rules to decide by:
    the newest, or that of the entry which is applied again. It never goes back either.
    """
    assert at_ms >= community.at_ms or isinstance(input_, inputs.ClockInput)
    assert community.newest_rules <= rules <= RULES_VERSION
    community.rules = rules
    outcome = _dispatch(community, input_, at_ms)
    if is_journaled(outcome):
        community.entries += 1
        community.at_ms = at_ms
        community.newest_rules = rules
    return outcome


def kept_form(
    community: Community, input_: inputs.Input, outcome: Outcome
) -> tuple[inputs.Input, Outcome]:
    """Return the input and the outcome that the journal keeps of what was applied last.

    They are those that were applied, but for a large frame of which nothing was accepted: it is
    kept by its hash. Applied in place of the frame, what is kept leads to the same state.
    """
    if isinstance(input_, inputs.FrameInput) and isinstance(outcome, FrameAccepted):
        return refused_frames.keep_hash(community, input_, outcome) or (input_, outcome)
    return input_, outcome


def _dispatch(community: Community, input_: inputs.Input, at_ms: int) -> Result:
    match input_:
        case inputs.FrameInput():
            return apply_frame(community, input_, at_ms)
        case RefusedFrameInput():
            return refused_frames.apply_refused_frame(community, input_, at_ms)
        case inputs.ForkInput():
            return forks.hold(community, input_)
        case inputs.OrderInput():
            outcome = apply_instruction(community, input_.instruction, at_ms)
            if isinstance(outcome, OrderAccepted | OrderAmended) and outcome.trades:
                retirement.note_trades(community, outcome.trades)
            return outcome
        case inputs.TickInput():
            return _tick(community, input_, at_ms)
        case inputs.MarketInput():
            return switch_market(community, input_.command)
        case inputs.ConfigurationInput():
            return configuration.configure(community, input_, at_ms)
        case inputs.OracleInput():
            community.paused = input_.command.paused
            return OracleSwitched(community.paused)
        case inputs.TokenInput():
            return enrolment.change_token(community, input_.command, at_ms)
        case inputs.EnrolmentInput():
            return enrolment.enrol(community, input_.enrolment, at_ms)
        case inputs.RotationInput():
            return enrolment.rotate(community, input_.rotation)
        case inputs.DeviceInput():
            return enrolment.change_device(community, input_.command)
        case inputs.GridDataInput():
            return grid_data_import.import_file(community, input_.data, at_ms)
        case inputs.SettlementInput():
            return _settle(community, input_.command, at_ms)
        case inputs.ClearingInput():
            return interval_clearing.clear(community, input_, at_ms)
        case inputs.PeriodInput():
            return periods.change_period(community, input_.command, at_ms)
        case inputs.ClockInput():
            return community_time.confirm_time(community, input_.command)
        case inputs.LossInput():
            return LossAccepted(entries=community.entries)


def _settle(community: Community, command: SettlementCommand, at_ms: int) -> Result:
    match command:
        case Deposit():
            return deposits.deposit(community, command)
        case ConfirmWithdrawal():
            return deposits.confirm(community, command)
        case RefuseWithdrawal():
            return deposits.refuse(community, command)
        case DecideHeld():
            return held_energy.decide(community, command, at_ms)
        case Correct():
            return corrections.correct(community, command, at_ms)
        case IssueCertificates():
            return certificates.issue(community, command, at_ms)


def _tick(community: Community, input_: inputs.TickInput, at_ms: int) -> Ticked | DevicesRetired:
    expired = community.market.expire(at_ms) + community.interval.expire(at_ms)
    resumed = community.market.trading.end_pauses(at_ms)
    if input_.raw == inputs.DUE:
        return Ticked(orders=[], expired=expired, resumed=resumed)
    _forget_old_ids(community, at_ms)
    enrolment.forget_tokens(community, at_ms)
    devices = enrolment.retire(community, at_ms)
    withdrawn = standing_orders.reprice(community, at_ms)
    orders = standing_orders.place_all(community, at_ms)
    if not community.active_terms.interval.enabled:  # a clearing takes what belongs to it
        retirement.book_energy(community, intervals.take(community.meters.values(), at_ms))
    retirements, movements = retirement.retire(community, at_ms)
    if devices:
        return DevicesRetired(
            orders=orders,
            devices=devices,
            withdrawn=withdrawn,
            retirements=retirements,
            movements=movements,
            expired=expired,
            resumed=resumed,
        )
    return Ticked(
        orders=orders,
        withdrawn=withdrawn,
        retirements=retirements,
        movements=movements,
        expired=expired,
        resumed=resumed,
    )


def _forget_old_ids(community: Community, at_ms: int) -> None:
    """Forget the ids of instructions that would by now be refused for their age."""
    oldest_ms = at_ms - community.order_window_ms - community.limits.future_tolerance_ms
    forgotten = []
    for key, completed in community.completed_instructions.items():  # in the order of arrival
        if completed.arrived_ms > at_ms:  # in a wrong time, which was set back
            continue
        if completed.arrived_ms >= oldest_ms:
            break
        forgotten.append(key)
    for key in forgotten:
        del community.completed_instructions[key]
        wallet = key.partition(":")[0]
        community.completed_by_wallet[wallet] -= 1
        if not community.completed_by_wallet[wallet]:
            del community.completed_by_wallet[wallet]
    if forgotten:
        community.forgotten_ms = at_ms - community.order_window_ms
