//! Environment Modules, the ones in Tcl and C, in the place of Lmod; see `components/modules.sh`.

use super::{Host, IMAGE, expect, setonix};

const STATE: &str = r#"
    - lmod: {}
      register: begin
    - lmod: {load: [tool], show: [tool/2.0, singularity]}
      register: modules
    - command: sh -c 'echo $TOOL_VERSION $TOOL_DEBUG; singularity --version'
      environment: "{{ ansible_facts.lmod.environment }}"
      register: ran
      check_mode: false
      changed_when: false
    - lmod: {load: [hammer], purge: true, available: false}
      register: named
    - lmod: {use: [/opt/more], load: [more/1]}
      register: more
    - assert:
        that:
          - begin.loaded == [] and begin.environment.TOOL_VERSION is undefined
          - begin.available == ['broken', 'hammer', 'singularity/4.1.0-slurm', 'tool/1.0', 'tool/2.0']
          # What was loaded because another one wants it is there as well.
          - modules.loaded == ['singularity/4.1.0-slurm', 'tool/1.0']
          - modules.available == begin.available
          - "'prereq' in modules.show['tool/2.0']"
          - "'/opt/singularity/bin' in modules.show['singularity']"
          - modules.environment.TOOL_VERSION == '1.0'
          - modules.environment.keys() | select('search', '[^A-Za-z0-9_]') | length == 0
          - ran.stdout_lines[0] == '1.0 0' and ran.stdout_lines[1] is match('apptainer version')
          - named.environment.TOOL_VERSION == '2.0' and named.available is undefined
          - more.loaded == ['more/1'] and 'more/1' in more.available
          - more.environment.MORE == "it's 1 {{ '$' }}x"
"#;

const ERRORS: &str = r#"
    - lmod: {load: [nothing/1]}
      ignore_errors: true
    - lmod: {show: [nothing/2]}
      ignore_errors: true
    - lmod: {load: [broken]}
      register: broken
      ignore_errors: true
    - assert: {that: broken.rc == 125 and broken.stdout is undefined and 'MODULEPATH=' not in broken.stderr}
    - singularity_exec: {image: /srv/none.sif, cmd: "true", module: [nothing/3]}
      ignore_errors: true
"#;

pub(super) fn state(host: &Host) -> Result<(), String> {
    host.inside(
        "mkdir -p /opt/more/more; printf '#%%Module\\nsetenv MORE {it'\\''s 1 $x}\\n' >/opt/more/more/1\n",
    )?;
    host.prepare("carol", &["h"], STATE)?;
    for more in [&["--check", "--diff"][..], &[]] {
        let ran = host.rplay(&[&["play.yml", "-i", "hosts.ini"], more].concat())?;
        expect(ran, 0, &["ok=6    changed=0", "failed=0"])?;
    }
    let texts = [
        "Unable to locate a modulefile for 'nothing/1'",
        "Unable to locate a modulefile for 'nothing/2'",
        "\"msg\": \"Module ERROR: no licence\"",
        "\"msg\": \"ERROR: Unable to locate a modulefile for 'nothing/3'\"",
        "ok=5 ",
        "ignored=4",
    ];
    expect(host.play("carol", ERRORS)?, 0, &texts)
}

/// `singularity` is nowhere but in its module, and what the module sets is needed for the registry.
pub(super) fn containers(host: &Host) -> Result<(), String> {
    setonix(host)?;
    let tasks = format!(
        r#"
    - singularity: {{dest: ~/demo.sif, image: "{IMAGE}:1.0.0", module: singularity, engine: singularity}}
      register: pulled
    - singularity_run: {{image: ~/demo.sif, argv: [world], module: [singularity]}}
      register: ran
      changed_when: false
    - singularity_exec: {{image: ~/demo.sif, cmd: "true", executable: singularity}}
      register: without
      ignore_errors: true
    - assert:
        that:
          - "'hello world, this is demo 1.0.0' in ran.stdout"
          - without is failed
"#
    );
    host.prepare("carol", &["h"], &tasks)?;
    let run = || host.rplay(&["play.yml", "-i", "hosts.ini"]);
    expect(run()?, 0, &["ok=4    changed=1", "failed=0"])?;
    expect(run()?, 0, &["ok=4    changed=0", "failed=0"])
}
