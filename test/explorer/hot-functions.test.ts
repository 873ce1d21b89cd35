import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const at = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const SCRIPT = at('test/support/hot-functions.mjs');

interface Source {
  readonly name: string;
  readonly lines: readonly string[];
}
const source = (path: string, name: string): Source => ({ name, lines: readFileSync(path, 'utf8').split('\n') });

/** Bundles with the code that accesses and maps: not those of the explorer alone. */
function hotSources(): Source[] {
  return readdirSync(at('dist'))
    .filter((name) => /^chunk-.*\.js$/.test(name))
    .map((name) => source(at(`dist/${name}`), name))
    .filter(({ lines }) => !lines.some((line) => line.startsWith('// src/explorer/')));
}

/** Properties that became megamorphic, as `source: line of code`: `Type,pc,time,line,column,old state,new state,map,name,...` a line. */
function megamorphic(log: string, sources: readonly Source[]): string[] {
  return log.split('\n').flatMap((entry) => {
    const [type, , , line, column, , state, , name] = entry.split(',');
    if (!/IC$/.test(type!) || state !== 'N' || !name) return [];
    return sources.flatMap((one) => {
      const text = one.lines[Number(line) - 1] ?? '';
      return text.slice(Number(column) - 1).startsWith(name) ? [`${one.name}: ${name} in ${text.trim()}`] : [];
    });
  });
}

/**
 * A place in the code that has seen objects of more than four shapes looks them up each time: 10 ns instead of 1. The explorer
 * runs the shipped code over a seam with an observer, in the same process, and must not spoil it for others.
 */
it('leaves no property of a hot function megamorphic', { timeout: 120_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'pagewalk-ic-'));
  try {
    const log = join(folder, 'ic.log');
    const flags = ['--log-ic', `--logfile=${log}`, '--no-logfile-per-isolate', SCRIPT];
    const { stderr, status } = spawnSync(process.execPath, flags, { encoding: 'utf8' });
    expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
    const text = readFileSync(log, 'utf8');
    expect(megamorphic(text, [source(SCRIPT, 'control')]).join()).toMatch(/control: at in const control/);
    const hot = hotSources();
    expect(hot.flatMap(({ lines }) => lines.filter((line) => line.startsWith('  read32(lo, hi, stack')))).toHaveLength(
      1,
    );
    // What is made of options is made anew when a register changes, not at each access.
    const isCold = (place: string): boolean => /\boptions\b|\.\.\.common/.test(place);
    expect(megamorphic(text, hot).filter((place) => !isCold(place))).toEqual([]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
