"""Saved runs on a file system that is full or read-only: only root can mount one."""

import shutil
import subprocess

import pytest

from tests.scripts import contents
from tests.unit.training.test_runs import CONFIG, model, restored, save
from training.runs import Run, newest_checkpoint


@pytest.fixture
def disk(tmp_path):
    """A directory that is a disk of its own, and a function that mounts it again with options."""
    directory = tmp_path / "disk"
    directory.mkdir()

    def mount(options):
        return subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(directory)], capture_output=True
        ).returncode

    if not shutil.which("mount") or mount("size=64k"):
        pytest.skip("only root can mount a small disk")
    yield directory, lambda options: mount(f"remount,{options}")
    subprocess.run(["umount", str(directory)], check=True)


def test_a_full_disk_stops_saving_until_there_is_room_and_loses_nothing(disk):
    directory, _ = disk
    save(directory, 1)
    with Run(directory, CONFIG) as run:
        objects = model()
        run.restore(**objects)
        rest = directory / "something else"
        for left in (0, 1, 4096, 8192, 12288):
            with rest.open("wb") as file:
                free = shutil.disk_usage(directory).free
                file.write(bytes(max(0, free - left)))
            before = contents(directory)
            if shutil.disk_usage(directory).free < 12288:
                with pytest.raises(OSError, match="No space left on device"):
                    run.save(2)
                assert contents(directory) == before
                assert run.saved_step == 1
            rest.unlink()
        objects["step"].assign(2)
        run.save(2)
        assert run.saved_step == 2
    assert restored(directory, warn=pytest.fail)[0] == 2


def test_a_read_only_folder_cannot_be_a_run_but_can_be_loaded(disk):
    directory, remount = disk
    save(directory, 1)
    assert remount("ro") == 0
    with pytest.raises(OSError, match="Read-only file system"):
        Run(directory, CONFIG)
    assert newest_checkpoint(directory).step == 1
