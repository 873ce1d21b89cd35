import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { CheckReport } from '../../../src/cli/check/report.ts';
import { checkXenBoot } from '../../../src/cli/check/xen-boot.ts';

/** The header and the first 30 calls. */
const trace = gunzipSync(readFileSync('test/corpus/xen-boot/xen-mmtrace-6g.jsonl.gz'))
  .toString()
  .split('\n', 31)
  .join('\n');

function check(text: string): { passed: number; total: number; mismatches: readonly string[] } {
  const report = new CheckReport();
  checkXenBoot(text.split('\n'), 'pagewalk', report);
  const { mismatches } = report.toJson() as { mismatches: string[] };
  return { passed: report.passed, total: report.total, mismatches };
}

describe('checkXenBoot', () => {
  it('says in which call which entry differs', () => {
    const { passed, total, mismatches } = check(trace.replaceAll('0x80000000004001e3', '0x80000000006001e3'));
    expect({ passed, total }).toEqual({ passed: 28, total: 30 });
    expect(mismatches[0]).toBe(
      'map_pages_to_xen: call 0 by bootstrap_map+0x9b: level 2, entry 8: 80000000004001e3, expected 80000000006001e3',
    );
  });

  it('tells another result', () => {
    const { mismatches } = check(trace.replace('"ret":0', '"ret":-12'));
    expect(mismatches).toEqual(['map_pages_to_xen: call 0 by bootstrap_map+0x9b: returns 0, expected -12']);
  });

  it('takes any frame for a new table, but one for each', () => {
    // Call 10 adds 0xbfd71; call 21 adds 0xbffdd and 0xbffde.
    expect(check(trace.replaceAll('0xbfd71', '0xbfd80'))).toMatchObject({ passed: 30 });
    const merged = trace.replace('[6,1,"0xbffde063","0x0"]', '[6,1,"0xbfd71063","0x0"]');
    expect(check(merged).mismatches[0]).toMatch(/^map_pages_to_xen: call 21 by /);
  });

  it('takes a table that maps nothing for nothing', () => {
    // Where the boot mapping lies, one more table below the first 2 MiB, of which it says nothing further.
    const empty = trace.replace(
      '"post":{"pages":{"0x427000":{"level":2,"set":[[8,2,',
      '"post":{"pages":{"0x700000":{"level":1,"new":true,"set":[[3,1,"0x200","0x0"]]},"0x427000":{"level":2,"set":[[100,1,"0x700063","0x0"],[8,2,',
    );
    expect(empty).not.toBe(trace);
    expect(check(empty)).toMatchObject({ passed: 30 });
  });

  it.each<[string, string, string]>([
    ['an unknown function', trace.replace('"map_pages_to_xen","args"', '"map","args"'), 'line 2: fn is "map"'],
    ['an argument that is missing', trace.replace('"virt"', '"va"'), 'line 2: virt is missing'],
    ['a change of no table', trace.replace('"0x427000":{"level":2,"set"', '"0x777000":{"level":2,"set"'), 'no table'],
    ['an entry behind the end', trace.replace('[[143,1,', '[[512,1,'), 'line 2: pre is'],
  ])('refuses %s', (_, text, message) => {
    expect(() => check(text)).toThrow(message);
  });
});
