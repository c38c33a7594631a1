import sys

import pytest

from fakd_jax.errors import UserError
from fakd_jax.runtime.extras import import_extra


def test_a_missing_library_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lime", None)
    monkeypatch.delitem(sys.modules, "lime.lime_image", raising=False)
    with pytest.raises(UserError, match=r"LIME needs lime: pip install 'fakd_jax\[lime\]'"):
        import_extra("lime.lime_image", "lime", "LIME")


def test_an_installed_library_is_returned() -> None:
    assert import_extra("json.decoder", "none", "this").__name__ == "json.decoder"
