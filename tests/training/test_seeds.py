from fakd_jax.training.seeds import derive_seed


def test_the_same_names_give_the_same_seed():
    assert derive_seed(0, "student", "order") == derive_seed(0, "student", "order")


def test_seed_and_every_name_matter():
    drawn = {
        derive_seed(seed, *names)
        for seed in (0, 1)
        for names in ((), ("student",), ("teacher",), ("student", "order"), ("order", "student"))
    }
    assert len(drawn) == 10


def test_seeds_are_32_bit_and_fixed_for_ever():
    # Stored runs depend on these: a change would silently alter every result.
    assert derive_seed(0) == 2968811710
    assert 0 <= derive_seed(7, "split") < 2**32
