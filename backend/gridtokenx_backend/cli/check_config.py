"""`gridtokenx-backend check-config`: what the config files say, without starting anything."""

from __future__ import annotations

from typing import Any

from gridtokenx_backend.cli.options import CONFIG, ConfigOption, JsonOption
from gridtokenx_backend.cli.output import print_answer, say
from gridtokenx_backend.config.risks import risks
from gridtokenx_backend.config.settings import load_settings
from gridtokenx_backend.config.surroundings import check_surroundings
from gridtokenx_backend.config.terms_file import load_terms


def check_config(config: ConfigOption = CONFIG, *, as_json: JsonOption = False) -> None:
    """Check both config files and say what they describe; nothing is started."""
    settings = load_settings(config)
    terms = load_terms(settings.community)
    check_surroundings(settings, config)
    found = {
        "community": terms.community.name,
        "members": len(terms.member),
        "devices": len(terms.device),
        "meters": len(terms.meter),
    }
    counts = ", ".join(f"{found[name]} {name}" for name in ("members", "devices", "meters"))
    text = f"{config}: ok: community {terms.community.name}: {counts}"
    answer: dict[str, Any] = dict(found)
    if warnings := risks(settings, config):
        answer["warnings"] = warnings
    print_answer(answer, text, as_json=as_json)
    for line in () if as_json else warnings:
        say(f"warning: {line}", err=True)
