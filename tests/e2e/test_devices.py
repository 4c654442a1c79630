# SPDX-License-Identifier: Apache-2.0
"""As many volumes and disks as a machine has room for, and one too many: an error before anything starts."""

import subprocess

import pytest

SHARES = 8  # of one sandbox, directories and disks together
DISKS = 5
ROOM = {"kvm": 100, "qemu": 8 - 2}  # beside the console and the image; the network is one of them


@pytest.fixture
def volumes(tmp_path):
    """Options for @dirs directories and @disks disks, and what the guest says when it has them all."""
    image = tmp_path / "disk"
    image.write_bytes(b"")
    image.open("r+b").truncate(16 << 20)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)

    def make(dirs, disks):
        argv = []
        for i in range(dirs):
            d = tmp_path / f"d{i}"
            d.mkdir(exist_ok=True)
            (d / "n").write_text(f"d{i}\n")
            argv += ["-v", f"{d}:/v/d{i}"]
        for i in range(disks):
            argv += ["--mount-disk", f"{image}:/v/x{i}:ro"]
        return argv, "".join(f"d{i}\n" for i in range(dirs)) + str(disks) + "\n"
    return make


SCRIPT = "cat /v/d*/n; ls -d /v/x*/lost+found 2>/dev/null | wc -l"


def test_the_most_and_one_too_many(msb, engine, volumes):
    most = min(SHARES, ROOM[engine] - 1)
    argv, said = volumes(most, 0)
    assert msb.out(*argv, "--", "sh", "-c", SCRIPT) == said
    r = msb.run(*volumes(most + 1, 0)[0], "--", "true")
    if most < SHARES:
        assert r.returncode == 125 and r.stdout == b""
        assert f"room for 8 devices, not for 9: 1 console, 1 disk, {most + 1} shared directories, 1 network" in r.stderr.decode()
        assert b"1 volume or disk less, --no-net" in r.stderr
    else:
        assert r.returncode in (2, 125) and f"more than {SHARES} volumes" in r.stderr.decode()
    assert msb.sandboxes() == []


def test_disks_and_directories_together(msb, engine, volumes):
    disks = min(DISKS, ROOM[engine])
    dirs = min(SHARES, ROOM[engine]) - disks
    argv, said = volumes(dirs, disks)
    assert msb.out("--no-net", *argv, "--", "sh", "-c", SCRIPT) == said
    r = msb.run("--no-net", *volumes(dirs + 1, disks)[0], "--", "true")
    assert r.returncode in (2, 125) and (b"more than 8 volumes" in r.stderr or b"room for 8 devices" in r.stderr)
    r = msb.run("--no-net", *volumes(0, DISKS + 1)[0], "--", "true")
    assert r.returncode in (2, 125) and b"disk" in r.stderr, r.stderr
    assert msb.sandboxes() == []


def test_memory_of_a_full_machine(msb, engine, volumes):
    """What is left out is said when it is asked for."""
    if engine != "qemu":
        pytest.skip("msb-vmm has room for a balloon beside everything")
    argv, _ = volumes(ROOM[engine] - 2, 0)
    box = ["--name", "full", "--root-disk", "64M"]
    try:
        r = msb("create", "-q", *box, "-m", "256", *argv)
        assert r.returncode == 0, r.stderr
        r = msb("modify", "--memory", "128", "full", stdin=subprocess.DEVNULL)
        assert r.returncode == 125 and b"balloon" in r.stderr, r
    finally:
        msb("rm", "--force", "full")
