/** Recorded operations of Xen, through the command. PAGEWALK_LONG=1 replays every scenario with both behaviours. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import { pagewalk } from '../support/command.ts';

interface Checked {
  readonly passed: number;
  readonly failed: number;
  readonly files: readonly {
    readonly note: string;
    readonly classes: Record<string, { passed: number; failed: number }>;
  }[];
}

const TRACES = 'test/corpus/xen-traces';
const isLong = process.env['PAGEWALK_LONG'] === '1';

function checked(behaviour: string, ...paths: string[]): Checked {
  const { stdout, stderr } = pagewalk(['check', '--json', '--behaviour', behaviour, ...paths]);
  expect(stderr).toBe('');
  return JSON.parse(stdout) as Checked;
}

describe("the mapping calls of a booting Xen, on the real Xen's page tables", () => {
  it.each(['xen', 'pagewalk'])('all 94 leave the same tables, behaviour %s', (behaviour) => {
    const { passed, failed, files } = checked(behaviour, 'test/corpus/xen-boot');
    expect({ passed, failed }).toEqual({ passed: 94, failed: 0 });
    expect(files[0]!.classes).toEqual({
      map_pages_to_xen: { passed: 81, failed: 0 },
      destroy_xen_mappings: { passed: 5, failed: 0 },
      modify_xen_mappings: { passed: 4, failed: 0 },
      modify_xen_mappings_lite: { passed: 4, failed: 0 },
    });
  });
});

describe("traces of Xen's mapping code", () => {
  const folder = mkdtempSync(join(tmpdir(), 'pagewalk-xen-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  /** The scenarios that have few tables: of five, three or four, in a tenth of the time of all. */
  function cheap(name: string): string {
    const [header = '', ...scenarios] = gunzipSync(readFileSync(`${TRACES}/${name}.jsonl.gz`))
      .toString()
      .trimEnd()
      .split('\n');
    const tables = (line: string): number =>
      [...line.matchAll(/"tables":(\d+)/g)].reduce((sum, [, count]) => sum + Number(count), 0);
    const path = join(folder, `${name}.jsonl`);
    writeFileSync(path, [header, ...scenarios.filter((line) => tables(line) < 1500)].join('\n'));
    return path;
  }

  const plain = cheap('plain');
  const enomem = cheap('enomem');

  it('xen: result, tables, counts and steps of each operation are equal, in scenarios with few tables', () => {
    const { passed, failed, files } = checked('xen', plain, enomem);
    expect({ passed, failed }).toEqual({ passed: 6744, failed: 0 });
    expect(files[1]!.note).toContain('0 of 75 scenarios stopped early');
  });

  it('pagewalk: the results are equal, with no more tables and flushes, in scenarios with few tables', () => {
    const { passed, failed, files } = checked('pagewalk', plain, enomem);
    expect({ passed, failed }).toEqual({ passed: 6744 - 45, failed: 0 });
    expect(files[1]!.note).toContain('3 of 75 scenarios stopped early, 45 operations not compared');
  });

  it.runIf(isLong)('xen: all 9,600 operations are equal', () => {
    expect(checked('xen', TRACES)).toMatchObject({ passed: 9600, failed: 0 });
  });

  it.runIf(isLong)('pagewalk: all 7,200 without a budget are equal; 5 of 100 scenarios with budgets stop early', () => {
    const { passed, failed, files } = checked('pagewalk', TRACES);
    expect({ passed, failed }).toEqual({ passed: 7200 + 2400 - 76, failed: 0 });
    expect(files[0]!.note).toContain('5 of 100 scenarios stopped early, 76 operations not compared');
  });
});

describe('pagewalk check of traces', () => {
  it('counts operations in its last line', () => {
    const { status, stdout } = pagewalk(['check', 'test/corpus/xen-boot']);
    expect(status).toBe(0);
    expect(stdout.trimEnd().split('\n').at(-1)).toBe('94 passed, 0 failed');
  });

  it('refuses an unknown behaviour', () => {
    const { status, stderr } = pagewalk(['check', TRACES, '--behaviour', 'linux']);
    expect(status).toBe(2);
    expect(stderr).toContain('--behaviour is one of xen, pagewalk');
  });
});
