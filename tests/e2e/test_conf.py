# SPDX-License-Identifier: Apache-2.0
"""--conf and its kin: sandboxes from YAML files."""

from test_life import life, ok  # noqa: F401 (life is a fixture)

CONF = """\
# What the tests of this project run in.
image: base
resources:
  cpus: 2
  memory: 192M
  rlimits:
  - {resource: nofile, soft: 77}
runtime:
  hostname: from-file
  workdir: /work
  env: {A: "${CONF_E2E}", B: file}
  labels: {team: red}
fs:
  mounts:
  - ./src:/src:ro
  - {tmpfs: {size: 8M}, target: /scratch, noexec: true}
  patches:
  - mkdir: {path: /opt/x, mode: "0700"}
  - copy_file: {src: src/data, dst: /opt/x/data, mode: "0640"}
  - text: {path: /opt/x/text, content: "a: $${b}\\n"}
  - append: {path: /opt/x/text, content: "c\\n"}
  - symlink: {link: /opt/y, target: x/text}
  - remove: {path: /etc/shells}
scripts:
  hi: |
    echo "hi from ${HOSTNAME:-$(hostname)}"
"""


def make(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src/data").write_text("data\n")
    (tmp_path / "box.yaml").write_text(CONF)
    return str(tmp_path / "box.yaml")


def test_a_sandbox_from_a_file(life, tmp_path):
    conf = make(tmp_path)
    (tmp_path / "more.yaml").write_text("env: {B: more, C: '3'}\n")
    env = {"CONF_E2E": "it works"}
    name = ok(life, "create", "-q", "--conf", conf, "--runtime-conf", str(tmp_path / "more.yaml"), "-c", "1", "-e", "C=own", env=env).strip()
    out = ok(life, "exec", name, "--", "sh", "-c",
             "nproc; hostname; pwd; echo $A/$B/$C; ulimit -Sn; cat /src/data; touch /src/x 2>&1 | grep -o 'Read-only.*'; cat /opt/y; "
             "stat -c '%a %s' /opt/x /opt/x/data; ls /etc/shells 2>&1 | grep -c 'No such'; hi; mount | grep -c '/scratch.*noexec'")
    lines = out.splitlines()
    assert lines[:8] == ["1", "from-file", "/work", "it works/more/own", "77", "data", "Read-only file system", "a: ${b}"]
    assert lines[8] == "c" and lines[9].startswith("700 ") and lines[10:] == ["640 5", "1", "hi from from-file", "1"]
    box = ok(life, "inspect", name, "--format", "json")
    assert '"red"' in box


def test_what_is_wrong_names_the_place(cli, tmp_path):
    conf = tmp_path / "bad.yaml"
    for text, want in (("resources:\n  cpus: many\n", "bad.yaml:2:9: 'many' is not a whole number"),
                       ("resources:\n  cpu: 1\n", "bad.yaml:2:3: unknown field 'cpu'"), ("a: &b 1\n", "bad.yaml:1:4: anchors"),
                       ("runtime: {env: {A: yes}}\n", "bad.yaml:1:20: yes, no"),
                       ("runtime: {env: {A: '${CONF_NOT_SET}'}}\n", "no variable CONF_NOT_SET"), ("registry: {a: b}\n", "not supported")):
        conf.write_text(text)
        r = cli.run("--conf", str(conf), "--", "true")
        assert r.returncode == 2 and want in r.stderr.decode(), r.stderr
    assert cli.run("--conf", str(tmp_path / "none"), "--", "true").returncode != 0
