import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { pagewalk } from '../support/command.ts';

const folder = mkdtempSync(join(tmpdir(), 'pagewalk-race-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** The schedule that a report names for a failure of some kind. */
const scheduleOf = (report: string, kind: string): string =>
  new RegExp(`^ +${kind}:[\\s\\S]*?schedule: (\\S+)$`, 'm').exec(report)?.[1] ?? '';

describe('pagewalk race', () => {
  it('lists the scenarios', () => {
    const { status, stdout } = pagewalk(['race']);
    expect(status).toBe(0);
    for (const name of ['xsa-345', 'r1', 'r1b', 'r5', 'r8']) expect(stdout).toMatch(new RegExp(`^${name} `, 'm'));
  });

  it('finds the three endings of XSA-345 before the fix, with lines of code, and nothing with it', () => {
    const { status, stdout } = pagewalk(['race', 'xsa-345']);
    expect(status).toBe(0);
    expect(stdout).toContain('before the fix: found: Bug, DoubleFree, UseAfterFree');
    for (const label of ['l3', 'pgdir', 'l3, as Xen does it', 'l3, three CPUs'])
      expect(stdout).toContain(`  ${label}: clean\n    every schedule: `);
    expect(stdout).toMatch(/BUG|virt_to_xen_l2e\(0xffff830000000000\): a superpage of level 3 is in the way/);
    expect(stdout).toMatch(/reads L3\[0\] of 0x1: 1G page 0x80000 RW D +virt-to-xen\.ts:\d+ childOf$/m);
    expect(stdout).toMatch(/writes L3\[0\] of 0x1 := 1G page 0x80000 RW D +map-pages\.ts:\d+ replace$/m);
    expect(stdout).toMatch(/CPU \d freed it \(step \d+\)/);
    const again = pagewalk(['race', 'xsa-345', '--replay', scheduleOf(stdout, 'DoubleFree')]);
    expect(again.status).toBe(1);
    expect(again.stdout).toMatch(/=> CPU \d frees a table that is free/);
  });

  it('replays a schedule of another scenario to nobody', () => {
    const schedule = scheduleOf(pagewalk(['race', 'r1b', '--variant', 'before the fix']).stdout, 'Bug');
    expect(pagewalk(['race', 'r4', '--replay', schedule])).toMatchObject({ status: 2, stdout: '' });
    const { status, stderr } = pagewalk(['race', 'r1b', '--replay', schedule.replace('x', 'x1')]);
    expect([status, stderr]).toEqual([2, expect.stringContaining('was not copied whole')]);
  });

  it('splits a search into parts that together find what the whole does', () => {
    const whole = JSON.parse(
      pagewalk(['race', 'r4', '--variant', 'before the fix', '--mode', 'exhaustive', '--json']).stdout,
    )[0];
    const files = ['1/3', '2/3', '3/3'].map((shard, at) => {
      const path = join(folder, `${at}.json`);
      const args = ['race', 'r4', '--variant', 'before the fix', '--mode', 'exhaustive', '--json', '--shard', shard];
      writeFileSync(path, pagewalk(args).stdout);
      return path;
    });
    const merged = JSON.parse(pagewalk(['race', '--merge', ...files, '--json']).stdout)[0];
    const rules = (failures: { rule: string; by: string; what: string }[]): string[] =>
      failures.map(({ rule, by, what }) => `${rule} ${by} ${what.replace(/0x[0-9a-f]+|\d+/g, '#')}`).sort();
    expect(rules(merged.failures)).toEqual(rules(whole.failures));
    expect(merged.coverage).toMatchObject({ complete: true });
    const part = JSON.parse(pagewalk(['race', '--merge', files[0]!, '--json']).stdout)[0];
    expect(part.coverage).toMatchObject({ complete: false, truncated: '1 of 3 parts' });
  });

  it('merges nothing but what it printed, and says so in one sentence', () => {
    const path = join(folder, 'other.json');
    const outcome = { name: 'r4', variant: 'before the fix', scenario: 'r4', coverage: {}, failures: [] };
    for (const text of [
      '[{}]',
      '[null]',
      '{}',
      '[',
      JSON.stringify([outcome]),
      JSON.stringify([{ ...outcome, failures: [0] }]),
    ]) {
      writeFileSync(path, text);
      const { status, stdout, stderr } = pagewalk(['race', '--merge', path]);
      expect([status, stdout, stderr]).toEqual([
        2,
        '',
        `pagewalk: ${path}: is not what \`pagewalk race --json\` prints\n`,
      ]);
    }
  });

  it('says of random schedules that they were random', () => {
    const { status, stdout } = pagewalk([
      'race',
      'r1',
      '--variant',
      'l3',
      '--mode',
      'random',
      '--runs',
      '50',
      '--seed',
      '7',
    ]);
    expect(status).toBe(0);
    expect(stdout).toContain('50 random schedules, seed 7;');
    expect(stdout).not.toContain('every schedule');
  });

  it('does not claim what a limit cut off', () => {
    const { status, stdout } = pagewalk(['race', 'r1', '--variant', 'l3', '--max-states', '100']);
    expect(status).toBe(1);
    expect(stdout).toContain('not every schedule: stopped at 100 states');
  });

  it.each([
    [['race', 'r99'], 'no scenario "r99"'],
    [['race', 'r1', '--variant', 'none'], 'r1 has no variant "none"'],
    [['race', 'r1', '--mode', 'guess'], '--mode is exhaustive, bounded or random'],
    [['race', 'r1', '--runs', '5'], '--runs goes with --mode random'],
    [['race', 'r1', '--preemptions', '5'], '--preemptions goes with --mode bounded'],
    [['race', 'r1', '--shard', '3/2'], '--shard is a part of how many'],
    [['race', 'r1', '--all'], '--all explores every scenario'],
    [['race', 'r1', '--replay', 'nonsense'], 'not a schedule: "nonsense"'],
    [['race', '--merge', 'package.json'], 'package.json: is not what'],
    [['race', '--merge', 'package.json', '--all'], '--all does not go with --merge'],
    [['race', '--max-states', '9'], '--max-states does not go with the list of scenarios'],
    [['race', '--replay', 'pw1:0:0:00'], '--replay does not go with the list of scenarios'],
    [['race', 'r1', '--replay', 'pw1:0:0:00', '--mode', 'random'], '--mode does not go with --replay'],
  ])('refuses %j in one sentence', (args, sentence) => {
    const { status, stdout, stderr } = pagewalk(args);
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toContain(sentence);
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
  });
});
