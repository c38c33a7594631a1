"""Checks of array shapes, and fixtures shared by all tests."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from types import ModuleType

import hypothesis
import jaxtyping
import pytest

from tests import array_checks

# Before the package is first imported.
jaxtyping.install_import_hook("fakd_jax", f"{array_checks.__name__}.check")

# A quarter of Hypothesis' own number; `--hypothesis-profile=default` draws all.
# No deadline: a busy machine is not a failure.
hypothesis.settings.register_profile("short", max_examples=25, deadline=None)
hypothesis.settings.load_profile("short")


def pytest_configure(config: pytest.Config) -> None:
    """Has programs compiled without optimisation, before JAX starts; but not for `-m gpu`.

    Compilation takes most of the tests' time, and their arrays are small.
    """
    flags = "--xla_backend_optimization_level=0"
    if metadata.version("jaxlib").startswith("0.10."):  # later ones do not know this flag
        flags += " --xla_cpu_use_fusion_emitters=false"
    if "gpu" not in config.option.markexpr.replace("not gpu", ""):
        os.environ.setdefault("XLA_FLAGS", flags)


REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def checks_of_arrays(request: pytest.FixtureRequest) -> None:
    """Turns the checks off in tests named `..._refused`, which break annotations on purpose."""
    jaxtyping.config.update("jaxtyping_disable", "refused" in request.node.name)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real MRI and ImageNet weights beside the repository; skips without it."""
    folder = REPOSITORY.parent / "shared"
    if not folder.is_dir():
        pytest.skip("no ../shared folder with real data and weights beside the repository")
    return folder


@pytest.fixture(scope="session", autouse=True)
def tiny_models() -> None:
    """Registers `tiny_resnet` and `tiny_mobilenet` for every test."""
    from tests.tiny import register_tiny_models

    register_tiny_models()


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 training and 16 test images of noise, in class folders."""
    from tests.tiny import write_images

    return write_images(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for prepared data."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session", autouse=True)
def compilation_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One compilation cache per test session, shared by its processes but not with the user."""
    import jax

    base = tmp_path_factory.getbasetemp()
    # The workers of pytest-xdist have folders of their own within the session's.
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "xla"
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder)
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    return folder


@pytest.fixture(scope="session")
def load_script() -> Callable[[str], ModuleType]:
    """Imports `scripts/<name>.py`, whose folder need not be a package."""

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(name, REPOSITORY / "scripts" / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load
