/** What each bit of an entry says, in words. SDM 3A, the tables "Format of a ... Entry". */
import { A, D, G, isPresent, keyOf, P, PAT_LARGE, PCD, PS, PWT, RW, US } from '../mmu/entry.ts';
import { hexNumber, PAGE_SIZE } from '../mmu/halves.ts';
import type { PagingFormat } from '../mmu/paging-mode.ts';

export interface BitField {
  /** `0`, or `51:12`. */
  readonly bits: string;
  readonly name: string;
  readonly value: string;
  readonly meaning: string;
}

/** Of an entry of `level`; one that is not present has nothing but its P flag to say. */
export function bitFields(format: PagingFormat, level: number, lo: number, hi: number): BitField[] {
  const flag = (bit: number, name: string, set: string, clear: string): BitField => ({
    bits: String(31 - Math.clz32(bit)),
    name,
    value: (lo & bit) === 0 ? '0' : '1',
    meaning: (lo & bit) === 0 ? clear : set,
  });
  const present = flag(P, 'P', 'present', 'not present: a walk ends here with #PF; the other bits are software’s');
  if (!isPresent(lo)) return [present];
  const isLeaf = format.isLeaf(level, lo);
  const is64 = format.entryBytes === 8;
  const fields = [
    present,
    flag(RW, 'R/W', 'writes allowed, as far as this entry goes', 'read only from here down'),
    flag(US, 'U/S', 'user mode allowed, as far as this entry goes', 'supervisor only from here down'),
    flag(PWT, 'PWT', 'page-level write-through', 'not write-through'),
    flag(PCD, 'PCD', 'page-level cache disable', 'cached as PAT and MTRRs say'),
    flag(A, 'A', 'accessed: a walk has used this entry', 'not accessed yet'),
    isLeaf
      ? flag(D, 'D', 'dirty: the page was written', 'clean: the next write sets D')
      : flag(D, 'ignored', 'ignored in an entry that leads to a table', 'ignored in an entry that leads to a table'),
    ...bit7(format, level, isLeaf, flag),
    isLeaf
      ? flag(G, 'G', 'global: outlives MOV CR3 where CR4.PGE = 1', 'not global: dropped by MOV CR3')
      : flag(G, 'ignored', 'ignored here', 'ignored here'),
    { bits: '11:9', name: 'available', value: hexNumber((lo >>> 9) & 7), meaning: 'for software' },
  ];
  if (isLeaf && level > 1) fields.push(flag(PAT_LARGE, 'PAT', 'upper half of the PAT', 'lower half of the PAT'));
  const target = isLeaf ? format.pageFrame(level, lo, hi) : format.tableFrame(lo, hi);
  fields.push({
    bits: is64 ? '51:12' : '31:12',
    name: 'address',
    value: hexNumber(target * PAGE_SIZE),
    meaning: isLeaf ? 'physical address of the page' : `physical address of the next table (level ${level - 1})`,
  });
  if (is64) fields.push(...highBits(isLeaf, hi));
  return fields;
}

function bit7(
  format: PagingFormat,
  level: number,
  isLeaf: boolean,
  flag: (bit: number, name: string, set: string, clear: string) => BitField,
): BitField[] {
  if (level === 1) return [flag(PS, 'PAT', 'upper half of the PAT', 'lower half of the PAT')];
  if ((format.pageSizeLevels & (1 << level)) === 0)
    return [flag(PS, 'PS', 'no page of this size here: reserved or ignored', 'leads to a table')];
  return [flag(PS, 'PS', isLeaf ? 'maps a page of this size' : '', 'leads to a table')];
}

function highBits(isLeaf: boolean, hi: number): BitField[] {
  const fields: BitField[] = [
    { bits: '58:52', name: 'available', value: hexNumber((hi >>> 20) & 0x7f), meaning: 'for software' },
  ];
  if (isLeaf)
    fields.push({
      bits: '62:59',
      name: 'key',
      value: String(keyOf(hi)),
      meaning: 'protection key, where CR4.PKE or PKS = 1',
    });
  fields.push({
    bits: '63',
    name: 'XD',
    value: hi < 0 ? '1' : '0',
    meaning: hi < 0 ? 'no instruction fetches from here down' : 'fetches allowed, as far as this entry goes',
  });
  return fields;
}
