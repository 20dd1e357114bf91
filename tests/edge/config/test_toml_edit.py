"""Values are changed in a config and nothing else is."""

from __future__ import annotations

import tomllib

import pytest

from gridtokenx_edge.config.toml_edit import CannotEdit, append_table, set_values

CONFIG = """\
# A site.
[site]
community = "old"   # part of every topic
# name = "commented"

[broker]            # TLS
host = "a"
insecure = true     # plain text

[[bus]]
name = "roof"
host = "not the broker's"
"""


def test_a_value_is_put_where_it_stood_and_its_comment_stays() -> None:
    text = set_values(CONFIG, "broker", {"host": "b", "port": 8883, "insecure": False})
    expected = CONFIG.replace('# TLS\nhost = "a"', '# TLS\nport = 8883\nhost = "b"')
    assert text == expected.replace("insecure = true ", "insecure = false ")


def test_a_commented_key_is_not_one() -> None:
    text = set_values(CONFIG, "site", {"name": 'Anna\'s "roof"'})
    assert '# name = "commented"' in text
    assert tomllib.loads(text)["site"] == {"community": "old", "name": 'Anna\'s "roof"'}


def test_a_missing_section_is_put_before_the_buses() -> None:
    text = set_values(CONFIG, "backend", {"ack_key": ["a", "b"]})
    assert text.index("[backend]") < text.index("[[bus]]")
    assert tomllib.loads(text)["backend"] == {"ack_key": ["a", "b"]}


def test_doing_it_again_changes_nothing() -> None:
    once = set_values(CONFIG, "broker", {"port": 1, "ca": "x"})
    assert set_values(once, "broker", {"port": 1, "ca": "x"}) == once


@pytest.mark.parametrize(
    "text",
    [
        'broker = {host = "a"}\n',
        'broker.host = "a"\n',
        '[broker]\nhost = """\na\n"""\n',
        '[broker]\nhost = "a\n',
    ],
)
def test_what_is_not_understood_is_left_to_a_person(text: str) -> None:
    with pytest.raises(CannotEdit, match=r'write into it yourself: host = "b"'):
        set_values(text, "broker", {"host": "b"})


def test_a_table_is_put_at_the_end() -> None:
    text = append_table('[device]\nkey = "k"\n' + CONFIG, "[[device.former]]", {"key": "old"})
    assert tomllib.loads(text)["device"] == {"key": "k", "former": [{"key": "old"}]}
