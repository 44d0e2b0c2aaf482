"""What several tests share: drawn people on disk, a small trained checkpoint, and where real data lies."""

import os
import shutil
from pathlib import Path

import pytest

from sdk.detector_files import HOME

# The tests' networks are too small to share out: on a busy machine several threads mostly wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session", autouse=True)
def own_folder(tmp_path_factory):
    """What a developer has in their own folder, a detector above all, must neither help nor be touched; nor a proxy."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(HOME, str(tmp_path_factory.mktemp("home")))
        patch.setenv("no_proxy", "127.0.0.1,localhost")
        yield


@pytest.fixture(scope="session")
def real_people() -> Path:
    """Research data that does not ship with the project; tests that measure on it skip without it."""
    folder = SHARED / "people"
    if not folder.is_dir():
        pytest.skip(f"real people's crops are not here ({folder})")
    return folder


@pytest.fixture(scope="session")
def chromium():
    """A running browser that notes every request; skips where there is none."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    binary = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    driver = shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.skip("no Chromium with its driver here (Debian: apt-get install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield browser
    browser.quit()


@pytest.fixture(scope="session")
def drawn_people(tmp_path_factory) -> Path:
    """12 drawn identities × 2 cameras × 4 views in the `folder` layout."""
    from sdk.simulation.population import Population, write_people

    folder = tmp_path_factory.mktemp("people") / "drawn"
    write_people(folder, Population(12, cameras=2, views=4, seed=7, size=(64, 32)))
    return folder


@pytest.fixture(scope="session")
def small_run(drawn_people, tmp_path_factory) -> Path:
    """The output folder of a short training run of a small network."""
    from training.config import ModelConfig, RunConfig, TrainConfig
    from training.data import PeopleDataset
    from training.trainer import train

    output = tmp_path_factory.mktemp("run")
    training, held_out = PeopleDataset.from_folder(drawn_people).hold_out(4, seed=0)
    config = RunConfig(
        ModelConfig(width=8, input_size=(64, 32)),
        TrainConfig(epochs=2, identities_per_batch=4, images_per_identity=2),
    )
    train(training, output, config, held_out)
    return output


@pytest.fixture(scope="session")
def small_onnx(small_run, drawn_people, tmp_path_factory) -> Path:
    """The small run's checkpoint as an ONNX file."""
    from converters.convert import convert
    from converters.verify import read_crops

    path = tmp_path_factory.mktemp("onnx") / "small.onnx"
    convert(small_run / "model.pt", path, read_crops(drawn_people, limit=16))
    return path


@pytest.fixture(scope="session")
def emulated(tmp_path_factory) -> Path:
    """A folder with the GPU kernel's library compiled for the processor, under the name that the SDK looks for."""
    from sdk.engines import native
    from tests.test_native import build

    folder = tmp_path_factory.mktemp("emulated")
    build(folder, "-DCMAKE_CUDA_COMPILER=", target="aligned_reid_emulated")
    (folder / native.filename("aligned_reid_emulated")).rename(folder / native.filename(native.KERNEL))
    return folder
