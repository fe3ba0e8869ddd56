"""The keyed hash: stable, keyed, refuses a weak key, never echoes it."""

import hashlib
import hmac

import pytest

from icg_tasks.contracts.errors import EXIT_USAGE, SettingsError
from icg_tasks.contracts.pseudonym import pseudonym, pseudonym_key, pseudonyms

KEY = b"sixteen letters!"


def test_is_the_first_half_of_hmac_sha256():
    assert pseudonym("reader-1", KEY) == hmac.new(KEY, b"reader-1", hashlib.sha256).hexdigest()[:32]


def test_depends_on_id_and_key():
    assert pseudonym("reader-1", KEY) != pseudonym("reader-2", KEY)
    assert pseudonym("reader-1", KEY) != pseudonym("reader-1", b"another sixteen!")


def test_takes_any_text():
    assert len(pseudonym("Zoë \U0001f4da \udc80", KEY)) == 32


def test_many_at_once_agree_with_one_by_one():
    assert pseudonyms(["b", "a", "b"], KEY) == {"b": pseudonym("b", KEY), "a": pseudonym("a", KEY)}


@pytest.mark.parametrize("value", [None, "", "only fifteen ch"])
def test_missing_or_short_key_is_a_settings_error_without_the_key(value):
    environ = {} if value is None else {"ICG_PSEUDONYM_KEY": value}
    with pytest.raises(SettingsError, match="ICG_PSEUDONYM_KEY") as caught:
        pseudonym_key(environ)
    assert caught.value.exit_code == EXIT_USAGE
    assert not value or value not in str(caught.value)


def test_key_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("ICG_PSEUDONYM_KEY", KEY.decode())
    assert pseudonym_key() == KEY
