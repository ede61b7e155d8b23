"""What we use of Hydra's inside is still there: each test's name says what a newer Hydra has changed."""

import pytest
from hydra import initialize_config_dir, version
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException

from fer.config import hydra_inside
from tests.runs import ROOT


def test_the_parser_of_the_flags_tells_multirun_and_the_words():
    flags = hydra_inside.flags_parser().parse_intermixed_args(["-m", "a=1", "--config-dir", "x", "b=2"])
    assert (flags.multirun, flags.config_dir, flags.overrides) == (True, "x", ["a=1", "b=2"])
    assert not (flags.cfg or flags.hydra_help or flags.info or flags.shell_completion or flags.experimental_rerun)


def test_a_word_is_parsed_into_its_key_and_values():
    override = hydra_inside.parse("seed=1,2")
    assert (override.key_or_group, override.is_sweep_override()) == ("seed", True)
    assert list(override.sweep_string_iterator()) == ["1", "2"]
    assert override.get_key_element() == "seed" and override.input_line == "seed=1,2"
    assert isinstance(hydra_inside.parse("seed=range(3)").value(), hydra_inside.RangeSweep)
    assert hydra_inside.parse("~augmentation.transforms.blur").is_delete()
    assert hydra_inside.parse("+a=1").is_add() and hydra_inside.parse("++a=1").is_force_add()
    assert hydra_inside.parse("hydra.run.dir=x").is_hydra_override()
    with pytest.raises(HydraException):
        hydra_inside.parse("a b")


def test_the_options_of_a_group_and_the_file_that_chooses_one_are_known():
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        assert {"basic", "parallel", "slurm"} <= set(hydra_inside.options_of("hydra/launcher"))
        assert hydra_inside.place_of_choice("train", ["experiment=laptop"], "model") == "experiment/laptop"
        assert not (hydra_inside.place_of_choice("train", [], "model") or "").startswith("experiment/")


def test_a_sweep_asks_the_method_that_we_leave_out():
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

    assert "validate_batch_is_legal" in BasicSweeper.sweep.__code__.co_names


def test_a_failed_job_tells_its_error():
    error = ValueError("no")
    assert hydra_inside.error_of(hydra_inside.failed(["a=1"], error)) is error
    done = hydra_inside.JobReturn(_return_value=1, status=hydra_inside.JobStatus.COMPLETED)
    assert hydra_inside.error_of(done) is None


def test_what_is_composed_apart_leaves_a_program_s_own_hydra_as_it_was():
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.2"):
        own = GlobalHydra.instance()
        with hydra_inside.apart(), initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            assert GlobalHydra.instance() is not own
        assert GlobalHydra.instance() is own and own.is_initialized()
        assert version.base_at_least("1.2") and not version.base_at_least("1.3")
