import { describe, expect, it } from 'vitest';
import { runScript } from './run-script.ts';

function complaints(path: string, text: string): readonly string[] {
  return runScript('check-source.mjs', { [path]: text }).complaints;
}

describe('the house rules', () => {
  it.each([
    ['10n', 'a BigInt literal', 'src/mmu/walk.ts', 'export const a: bigint = 10n;'],
    ['0xfffn', 'a hexadecimal BigInt literal', 'src/cpu/cpu.ts', 'export const a: bigint = 0xfffn;'],
    ['1_000n', 'a BigInt literal with separators', 'src/cpu/cpu.ts', 'export const a: bigint = 1_000n;'],
    ['BigInt(', 'a conversion to BigInt', 'src/mmu/tlb.ts', 'export const a: bigint = BigInt(1);'],
  ])('refuse %s, %s on a path that runs per access', (_form, _what, path, line) => {
    expect(complaints(path, `${line}\n`)).toEqual([`${path}:1: BigInt on a path that runs per access`]);
  });

  it.each([
    ['a 64-bit move', 'src/mmu/walk.ts', 'export const quad: BigInt64Array = new BigInt64Array(1);'],
    ['a comment', 'src/mmu/walk.ts', '// 1n would be slow'],
    ['where people write addresses', 'src/mmu/address.ts', 'export const a: bigint = 1n;'],
    ['outside mmu and cpu', 'src/image/raw.ts', 'export const a: bigint = 1n;'],
  ])('allow BigInt: %s', (_what, path, line) => {
    expect(complaints(path, `${line}\n`)).toEqual([]);
  });

  it.each([
    ['console outside the command', 'src/cpu/cpu.ts', "console.log('x');"],
    ['default export', 'src/cpu/cpu.ts', 'export default 1;'],
    ['catch in mapping code', 'src/hypervisor/split.ts', 'try { split(); } catch { again(); }'],
  ])('refuse: %s', (rule, path, line) => {
    expect(complaints(path, `\n${line}\n`)).toEqual([`${path}:2: ${rule}`]);
  });

  it('refuse a file of more than 300 lines', () => {
    expect(complaints('src/bug.ts', 'export {};\n'.repeat(300))).toEqual([]);
    expect(complaints('src/bug.ts', 'export {};\n'.repeat(301))).toEqual(['src/bug.ts: 301 lines, more than 300']);
  });
});
