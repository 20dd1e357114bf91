"""What the server's files allow that is unsafe is told or refused by check-config and run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.backend.config.test_check_config import BACKEND, COMMUNITY, Command, write

from gridtokenx_backend.config.data_folder import prepare_data_folder
from gridtokenx_backend.config.settings import load_settings
from gridtokenx_backend.errors import CannotStart


@pytest.mark.parametrize(
    ("there", "instead", "said"),
    [
        ('[api]\nhost = "127.0.0.1"', '[api]\nhost = "0.0.0.0"', "api.host: unsafe: 0.0.0.0"),
        ('host = "127.0.0.1"\nport = 1883', 'host = "broker.example"\nport = 1883',
         "broker.insecure: unsafe: frames come from broker.example"),
    ],
)  # fmt: skip
def test_a_network_that_is_not_safe_is_warned_of(
    tmp_path: Path, command: Command, there: str, instead: str, said: str
) -> None:
    assert there in BACKEND
    config = write(tmp_path, COMMUNITY, BACKEND.replace(there, instead))
    ran = command("check-config", "-c", config)
    assert (ran.status, len(ran.lines)) == (0, 1)
    assert ran.err.startswith(f"warning: {config}:")
    assert said in ran.err
    ran = command("check-config", "-c", config, "--json")
    assert ran.err == ""
    assert said in json.loads(ran.out)["warnings"][0]


@pytest.mark.parametrize("name", ["backend.toml", "community.toml", "."])
def test_config_files_that_everybody_may_change_are_warned_of(
    tmp_path: Path, command: Command, name: str
) -> None:
    config = write(tmp_path)
    (tmp_path / name).chmod(0o777)
    ran = command("check-config", "-c", config)
    assert (ran.status, "everybody on this machine may change" in ran.err) == (0, True)


@pytest.mark.parametrize("name", ["data", "data/journal.db", "data/ack.key", "data/operator.token"])
def test_data_that_everybody_may_change_is_refused_by_check_config_and_at_the_start(
    tmp_path: Path, command: Command, name: str
) -> None:
    config = write(tmp_path)
    settings = load_settings(Path(config))
    prepare_data_folder(settings)
    settings.journal.touch(0o600)
    file = tmp_path / name
    assert file.exists()
    file.chmod(file.stat().st_mode | 0o002)
    ran = command("check-config", "-c", config)
    assert ran.status == 2
    assert f"{file}: everybody on this machine may change it; chmod o-w {file}" in ran.err
    with pytest.raises(CannotStart, match="everybody on this machine"):
        prepare_data_folder(settings)


@pytest.mark.parametrize("resolution", ["1000000", "100.001", "-1"])
def test_a_resolution_that_no_register_has_is_refused(
    tmp_path: Path, command: Command, resolution: str
) -> None:
    more = f'max_power_kw = "17.25"\nresolution_kwh = "{resolution}"\n'
    config = write(tmp_path, COMMUNITY.replace('max_power_kw = "17.25"\n', more))
    ran = command("check-config", "-c", config)
    assert ran.status == 2
    assert "meter[1].resolution_kwh: expected 0 to 100 kWh, one step of the register" in ran.err
