/**
 * What each operation drops from the caches, one row a line.
 *
 * Source: SDM 3A, "Operations that Invalidate TLBs and Paging-Structure Caches". INVLPG and INVPCID name an address or a
 * PCID of their own and stand in translator.ts.
 */
import { CR0_PG, CR4_LA57, CR4_PAE, CR4_PCIDE, CR4_PGE, CR4_PSE, CR4_SMEP } from './control-bits.ts';

/** The operation is illegal: #GP(0), and nothing changed. */
export const REFUSED = -1;
/** No entry has to go. Rights are applied at each access, so WP, SMAP, PKE, NXE and the like need nothing. */
export const DROP_NOTHING = 0;
/** Non-global TLB entries and all structure-cache entries of the current PCID. */
export const DROP_PCID = 1;
/** Everything: global entries, all PCIDs. */
export const DROP_ALL = 2;

/** MOV CR3, and a task switch that changes CR3. With `noFlush` (source bit 63, CR4.PCIDE = 1) the PCID's entries stay. */
export const afterCr3 = (noFlush: boolean): number => (noFlush ? DROP_NOTHING : DROP_PCID);

export const afterCr0 = (before: number, after: number): number =>
  (before & ~after & CR0_PG) !== 0 ? DROP_ALL : DROP_NOTHING;

export function afterCr4(before: number, after: number, vendor: 'intel' | 'amd'): number {
  const changed = before ^ after;
  const set = after & ~before;
  const cleared = before & ~after;
  if ((changed & CR4_PGE) !== 0 || (cleared & CR4_PCIDE) !== 0) return DROP_ALL;
  // The manual asks for the current PCID only; but entries of one mode mean nothing in another, global ones neither.
  if ((changed & (CR4_PAE | CR4_LA57)) !== 0) return DROP_ALL;
  if ((set & CR4_SMEP) !== 0) return DROP_PCID;
  if ((changed & CR4_PSE) !== 0 && vendor === 'amd') return DROP_ALL;
  return DROP_NOTHING;
}
