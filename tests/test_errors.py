"""What an error lists in its one line."""

from fakd_jax.errors import listed


def test_long_lists_are_cut_and_counted():
    assert listed(["a", "b"]) == "a, b"
    assert listed([str(n) for n in range(1012)]).endswith("8, 9 and 1,002 more")
