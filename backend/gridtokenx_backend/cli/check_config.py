"""`gridtokenx-backend check-config`: what the config files say, without starting anything."""

from __future__ import annotations

from gridtokenx_backend.cli.options import CONFIG, ConfigOption, JsonOption
from gridtokenx_backend.cli.output import print_answer
from gridtokenx_backend.config.data_folder import unusable_tokens
from gridtokenx_backend.config.settings import load_settings, missing_files
from gridtokenx_backend.config.terms_file import load_terms
from gridtokenx_wire.errors import ConfigError


def check_config(config: ConfigOption = CONFIG, *, as_json: JsonOption = False) -> None:
    """Check both config files and say what they describe; nothing is started."""
    settings = load_settings(config)
    terms = load_terms(settings.community)
    if lines := [*missing_files(settings, config), *unusable_tokens(settings)]:
        raise ConfigError(lines)
    found = {
        "community": terms.community.name,
        "members": len(terms.member),
        "devices": len(terms.device),
        "meters": len(terms.meter),
    }
    counts = ", ".join(f"{found[name]} {name}" for name in ("members", "devices", "meters"))
    text = f"{config}: ok: community {terms.community.name}: {counts}"
    print_answer(found, text, as_json=as_json)
